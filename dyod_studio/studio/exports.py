"""Take work out of the studio: pictures, trained parts, or the whole project, as one ZIP."""

import json
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from safetensors import safe_open
from safetensors.numpy import save as save_tensors

from dyod_studio.errors import InvalidInputError
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.files import SAFETENSORS
from dyod_studio.store.pictures import PictureRepository
from dyod_studio.store.storage import Storage
from dyod_studio.studio.gallery import Gallery
from dyod_studio.studio.projects import Projects
from dyod_studio.studio.views import ExportReport, ProjectView, to_json

WHATS = ("gallery", "artifacts", "project")
PAGE = 200

Entry = tuple[str, Path | bytes]
"""Name inside the ZIP, and a file or its content."""


class Exports:
    """Writes ZIP files; nothing inside the studio changes."""

    def __init__(self, storage: Storage, projects: Projects, gallery: Gallery) -> None:
        self._storage, self._projects, self._gallery = storage, projects, gallery

    def export(self, ref: int | str, what: str, out: Path) -> ExportReport:
        """Write ``out``, complete or not at all.

        Raises:
            InvalidInputError: unknown ``what``, not a .zip name, or there is nothing to export.
        """
        project = self._projects.get(ref)
        if what not in WHATS:
            raise InvalidInputError(f"what must be one of {', '.join(WHATS)}, got {what!r}.")
        if out.suffix.lower() != ".zip":
            raise InvalidInputError(f"The export is a ZIP: name it *.zip, got {out.name!r}.")
        writers = {
            "gallery": self._gallery_entries,
            "artifacts": self._artifact_entries,
            "project": self._project_entries,
        }
        count = _write_zip(out, writers[what](project))
        if not count:
            raise InvalidInputError(f"Project {project.name!r} has nothing of {what} to export.")
        return ExportReport(out, count, out.stat().st_size)

    def _gallery_entries(self, project: ProjectView) -> Iterator[Entry]:
        """Every generated picture, and metadata.jsonl with a line for each."""
        lines = []
        for first in range(0, self._gallery.count(project.id), PAGE):
            for made in self._gallery.page(project.id, first, PAGE):
                name = f"{made.id:06d}_{made.kind}_seed{made.seed}.png"
                facts = {"file": name, "kind": made.kind, "sha256": made.sha256, "seed": made.seed}
                facts |= {"created_at": made.created_at.isoformat(), **made.parameters}
                lines.append(json.dumps(facts, sort_keys=True))
                yield name, made.file
        if lines:
            yield "metadata.jsonl", ("\n".join(lines) + "\n").encode()

    def _artifact_entries(self, project: ProjectView) -> Iterator[Entry]:
        """The newest trained parts under the names that other tools expect."""
        word = project.token.strip("<>")
        for kind in project.artifacts:
            with self._storage.database.session() as session:
                row = ArtifactRepository(session).latest(project.id, kind)
            if row is None:
                continue
            path = self._storage.files.path(row.sha256, SAFETENSORS)
            if kind == "inversion":
                yield f"{word}.safetensors", path
                yield f"diffusers/{word}/learned_embeds.safetensors", _diffusers_layout(path)
            else:
                yield f"{word}-{kind}.safetensors", path

    def _project_entries(self, project: ProjectView) -> Iterator[Entry]:
        """Everything: pictures as they were given, trained parts, gallery, project.json."""
        with self._storage.database.session() as session:
            pictures = PictureRepository(session).all(project.id)
        rows: list[dict[str, Any]] = []
        for picture in pictures:
            name = f"pictures/{picture.id:06d}{picture.suffix}"
            crop = {"left": picture.crop_left, "top": picture.crop_top, "side": picture.crop_side}
            rows.append(
                {"file": name, "name": picture.name, "sha256": picture.sha256, "crop": crop}
            )
            yield name, self._storage.files.path(picture.sha256, picture.suffix)
        for name, content in self._artifact_entries(project):
            yield f"artifacts/{name}", content
        for name, content in self._gallery_entries(project):
            yield f"gallery/{name}", content
        facts = to_json(project) | {"cover": None, "pictures": rows}
        yield "project.json", json.dumps(facts, indent=2, ensure_ascii=False).encode()


def _diffusers_layout(path: Path) -> bytes:
    """The same vectors with the trigger word as key, as diffusers itself writes them."""
    with safe_open(path, framework="numpy") as file:
        vectors, header = file.get_tensor("emb_params"), file.metadata()
    token = json.loads(header["dyod.config"])["token"]
    return save_tensors({token: vectors}, metadata={"format": "pt"})


def _write_zip(out: Path, entries: Iterator[Entry]) -> int:
    """Write beside, then rename; returns the number of files and touches no disk when it is 0."""
    first = next(entries, None)
    if first is None:
        return 0
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    count = 0
    try:
        with ZipFile(partial, "w") as archive:
            for name, content in chain([first], entries):
                count += 1
                if isinstance(content, Path):
                    archive.write(content, name, compress_type=ZIP_STORED)
                else:
                    archive.writestr(name, content, compress_type=ZIP_DEFLATED)
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)
    return count
