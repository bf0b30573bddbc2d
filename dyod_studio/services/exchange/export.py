"""Take work out of the studio: pictures, trained parts, the set or the whole project, as a ZIP."""

import base64
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from html import escape
from itertools import chain
from pathlib import Path
from string import Template
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from PIL import Image, ImageDraw, ImageFont
from safetensors import safe_open
from safetensors.numpy import save as save_tensors

from dyod_studio.disk import write_beside_and_rename
from dyod_studio.errors import InvalidInputError
from dyod_studio.jobs.images import A1111_KEY, METADATA_KEY, base_name, encode_png
from dyod_studio.requests.part_kinds import IMPORTED_FROM, PART_KINDS, load_reference
from dyod_studio.services.exchange.dataset_export import dataset_entries
from dyod_studio.services.exchange.project_export import project_entries
from dyod_studio.services.gallery.png_metadata import read_texts
from dyod_studio.services.gallery.service import Gallery
from dyod_studio.services.projects import Projects
from dyod_studio.services.views import ExportReport, GenerationView, ProjectView
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.files import SAFETENSORS
from dyod_studio.store.storage import Storage

CONTROL_FILES = "dyod_studio.models.control_files:control_files"
"""Loads diffusers; imported when it is needed."""
COLUMNS, ROWS = 8, 10
CELL_PX, MARGIN_PX, CAPTION_PX = 160, 12, 18
PAPER, INK = (255, 255, 255), (70, 70, 70)
LEFT_OUT = ("kind", "position", "first_seed", "num_images")
"""Parameters that the page does not repeat."""

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 1200px; padding: 32px 20px; }
h1 { font-size: 26px; margin: 0; } header p { margin: 4px 0 24px; opacity: .7; }
main { display: grid; gap: 16px; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); }
figure { margin: 0; border: 1px solid #8885; border-radius: 10px; overflow: hidden; }
figure img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: #fff; }
figcaption { padding: 8px 12px; font-size: 13px; }
summary { cursor: pointer; } dl { margin: 8px 0 0; overflow-wrap: anywhere; }
dt { opacity: .65; } dd { margin: 0 0 4px; }
</style></head><body>
<header><h1>$title</h1><p>$count. Every file carries its settings: drop it into the gallery of
DYOD Studio to make it again.</p></header>
<main>
$figures
</main></body></html>
""")


def contact_sheets(views: Sequence[GenerationView]) -> Iterator[tuple[str, bytes]]:
    """Sheets of small pictures with their numbers and seeds: (name, PNG)."""
    size = COLUMNS * ROWS
    sheets = [views[first : first + size] for first in range(0, len(views), size)]
    for number, some in enumerate(sheets, start=1):
        name = "contact-sheet.png" if len(sheets) == 1 else f"contact-sheet-{number:03d}.png"
        yield name, _sheet(some)


def _sheet(views: Sequence[GenerationView]) -> bytes:
    columns = min(COLUMNS, len(views))
    rows = -(-len(views) // columns)
    step_x, step_y = CELL_PX + MARGIN_PX, CELL_PX + CAPTION_PX + MARGIN_PX
    sheet = Image.new("RGB", (columns * step_x + MARGIN_PX, rows * step_y + MARGIN_PX), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for place, view in enumerate(views):
        left = MARGIN_PX + place % columns * step_x
        top = MARGIN_PX + place // columns * step_y
        with Image.open(view.thumbnail) as image:
            small = image.convert("RGB")
        small.thumbnail((CELL_PX, CELL_PX), Image.Resampling.LANCZOS)
        sheet.paste(
            small, (left + (CELL_PX - small.width) // 2, top + (CELL_PX - small.height) // 2)
        )
        mark = "* " if view.is_favorite else ""
        caption = f"{mark}{view.id}  seed {view.seed}"
        pen.text((left, top + CELL_PX + 2), caption, fill=INK, font=font)
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def html_page(title: str, rows: Sequence[tuple[str, GenerationView]]) -> bytes:
    """One page of all pictures that needs no other file: (file name, picture) each.

    The small pictures stand in the page itself; each leads to its file where that lies beside it.
    """
    noun = "picture" if len(rows) == 1 else "pictures"
    figures = "\n".join(_figure(name, view) for name, view in rows)
    page = PAGE.substitute(title=escape(title), count=f"{len(rows):,} {noun}", figures=figures)
    return page.encode()


def _figure(name: str, view: GenerationView) -> str:
    data = base64.b64encode(view.thumbnail.read_bytes()).decode()
    facts = {name: value for name, value in view.parameters.items() if name not in LEFT_OUT}
    mark = "♥ " if view.is_favorite else ""
    return (
        f'<figure><a href="{escape(name)}"><img loading="lazy" alt="Picture {view.id}"'
        f' src="data:image/webp;base64,{data}"></a><figcaption><details>'
        f"<summary>{mark}{view.id}, seed {view.seed}</summary>{_facts(facts)}"
        f"</details></figcaption></figure>"
    )


def _facts(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(str(value))}</dd>"
        for name, value in values.items()
        if value not in (None, {}, [], "")
    )
    return f"<dl>{rows}</dl>"


def part_files(kind: str, path: Path, word: str) -> Iterator[tuple[str, Path | bytes]]:
    """Name and content of each file that a part goes out as; the one most tools read is first.

    Tools for textual inversions take the file's name as the token.

    Args:
        path: the stored file. word: what the files are called after.
    """
    stem = re.sub(r"[^\w.-]+", "-", word).strip("-.") or kind
    if PART_KINDS[kind].file_layout == "textual-inversion":
        yield f"{stem}.safetensors", path
        yield f"diffusers/{stem}/learned_embeds.safetensors", diffusers_layout(path)
    elif PART_KINDS[kind].file_layout == "control":
        yield from load_reference(CONTROL_FILES)(path, f"{stem}-{kind}").items()
    else:
        yield f"{stem}-{kind}.safetensors", path


def diffusers_layout(path: Path) -> bytes:
    """The same vectors with the trigger word as key, as diffusers itself writes them."""
    with safe_open(path, framework="numpy") as file:
        vectors, header = file.get_tensor("emb_params"), file.metadata()
    token = json.loads(header["dyod.config"])["token"]
    return save_tensors({token: vectors}, metadata={"format": "pt"})


WHATS = ("gallery", "artifacts", "dataset", "project")
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
                for other tools; ``dataset``: the pictures with their captions, as other tools
                train on them; ``project``: all there is, for another machine.
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
            "dataset": partial(dataset_entries, self._storage),
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
            if IMPORTED_FROM not in row.config:
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
    """Write the file whole; returns the number of files and touches no disk when it is 0."""
    first = next(entries, None)
    if first is None:
        return 0
    count = 0
    with write_beside_and_rename(out) as beside, ZipFile(beside, "w") as archive:
        for name, content in chain([first], entries):
            count += 1
            if isinstance(content, Path):
                archive.write(content, name, compress_type=ZIP_STORED)
            else:
                archive.writestr(name, content, compress_type=ZIP_DEFLATED)
    return count
