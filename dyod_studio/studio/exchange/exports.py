"""Take work out of the studio: pictures, trained parts, or the whole project, as one ZIP."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from PIL import Image

from dyod_studio.errors import InvalidInputError
from dyod_studio.jobs.images import A1111_KEY, METADATA_KEY, base_name, encode_png
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.files import SAFETENSORS
from dyod_studio.store.storage import Storage
from dyod_studio.studio.exchange.metadata import read_texts
from dyod_studio.studio.exchange.pages import contact_sheets, html_page
from dyod_studio.studio.exchange.part_files import part_files
from dyod_studio.studio.exchange.project_rows import project_entries
from dyod_studio.studio.gallery.service import Gallery
from dyod_studio.studio.parts import IMPORTED
from dyod_studio.studio.projects import Projects
from dyod_studio.studio.views import ExportReport, GenerationView, ProjectView

WHATS = ("gallery", "artifacts", "project")
PICTURES_AT_ONCE = 200

Entry = tuple[str, Path | bytes]
"""Name inside the ZIP, and a file or its content."""


class Exports:
    """Writes ZIP files; nothing inside the studio changes."""

    def __init__(self, storage: Storage, projects: Projects, gallery: Gallery) -> None:
        self._storage, self._projects, self._gallery = storage, projects, gallery

    def export(
        self, ref: int | str, what: str, out: Path, ids: Sequence[int] | None = None
    ) -> ExportReport:
        """Write ``out``, complete or not at all.

        Args:
            what: ``gallery``: pictures with all that made them; ``artifacts``: the trained parts
                for other tools; ``project``: all there is, for another machine.
            ids: these pictures of the gallery alone; None for all that are in sight.

        Raises:
            InvalidInputError: unknown ``what``, not a .zip name, or there is nothing to export.
            NotFoundError: one of ``ids`` is not the project's.
        """
        project = self._projects.get(ref)
        if what not in WHATS:
            raise InvalidInputError(f"what must be one of {', '.join(WHATS)}, got {what!r}.")
        if out.suffix.lower() != ".zip":
            raise InvalidInputError(f"The export is a ZIP: name it *.zip, got {out.name!r}.")
        if ids is not None and what != "gallery":
            raise InvalidInputError(f"Single pictures can be chosen of the gallery, not of {what}.")
        writers: dict[str, Callable[[ProjectView], Iterator[Entry]]] = {
            "gallery": partial(self._gallery_entries, ids=ids),
            "artifacts": self._artifact_entries,
            "project": partial(project_entries, self._storage),
        }
        count = _write_zip(out, writers[what](project))
        if not count:
            raise InvalidInputError(f"Project {project.name!r} has nothing of {what} to export.")
        return ExportReport(out, count, out.stat().st_size)

    def _gallery_entries(self, project: ProjectView, ids: Sequence[int] | None) -> Iterator[Entry]:
        """Every picture; then metadata.jsonl, contact sheets, and one page to look at them all."""
        chosen = self._gallery.ids(project.id) if ids is None else ids
        rows: list[tuple[str, GenerationView]] = []
        for first in range(0, len(chosen), PICTURES_AT_ONCE):
            for made in self._gallery.of_ids(project.id, chosen[first : first + PICTURES_AT_ONCE]):
                name = f"{made.id:06d}_{made.kind}_seed{made.seed}.png"
                rows.append((name, made))
                yield name, carrying(made)
        if rows:
            yield "metadata.jsonl", "".join(_line(*row) for row in rows).encode()
            yield from contact_sheets([made for _, made in rows])
            yield "index.html", html_page(f"{project.name}: gallery", rows)

    def _artifact_entries(self, project: ProjectView) -> Iterator[Entry]:
        """The newest trained parts under the names that other tools expect."""
        word = project.token.strip("<>")
        for kind in project.artifacts:
            with self._storage.database.session() as session:
                row = ArtifactRepository(session).latest(project.id, kind)
            if row is None:
                continue
            path = self._storage.files.path(row.sha256, SAFETENSORS)
            if kind not in IMPORTED:
                yield from part_files(kind, path, word)
                continue
            called = str(row.config.get("token") or row.config.get("title") or kind)
            for name, content in part_files(kind, path, called.strip("<>")):
                yield f"imported/{name}", content


def carrying(made: GenerationView) -> Path | bytes:
    """The picture's file; written anew where an earlier release left out what readers look for."""
    texts = read_texts(made.file)
    if METADATA_KEY in texts and A1111_KEY in texts:
        return made.file
    with Image.open(made.file) as image:
        return encode_png(image.convert("RGB"), {**made.parameters, "kind": made.kind})


def _line(name: str, made: GenerationView) -> str:
    """A picture's line in metadata.jsonl."""
    facts: dict[str, Any] = {
        "file": name,
        "id": made.id,
        "kind": made.kind,
        "sha256": made.sha256,
        "seed": made.seed,
        "is_favorite": made.is_favorite,
        "created_at": made.created_at.isoformat(),
        **made.parameters,
    }
    if "base" in facts:
        facts["base"] = base_name(facts["base"])
    return json.dumps(facts, sort_keys=True) + "\n"


def _write_zip(out: Path, entries: Iterator[Entry]) -> int:
    """Write beside, then rename; returns the number of files and touches no disk when it is 0."""
    first = next(entries, None)
    if first is None:
        return 0
    out.parent.mkdir(parents=True, exist_ok=True)
    partial_out = out.with_name(out.name + ".partial")
    count = 0
    try:
        with ZipFile(partial_out, "w") as archive:
            for name, content in chain([first], entries):
                count += 1
                if isinstance(content, Path):
                    archive.write(content, name, compress_type=ZIP_STORED)
                else:
                    archive.writestr(name, content, compress_type=ZIP_DEFLATED)
        os.replace(partial_out, out)
    finally:
        partial_out.unlink(missing_ok=True)
    return count
