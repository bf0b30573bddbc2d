"""Files out of the gallery and into it: a ZIP, a picture that says how it was made, a project."""

import re
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.errors import InvalidInputError
from dyod_studio.studio.gallery.views import AgainView
from dyod_studio.ui.errors import chosen, shown_to_user
from dyod_studio.ui.pieces import counted
from dyod_studio.ui.wiring import PRIVATE, PROGRESS, SILENT

if TYPE_CHECKING:
    from dyod_studio.studio.facade import Studio

EXPORTS = [
    ("Pictures, with all that made them", "gallery"),
    ("What it has learned, for other tools", "artifacts"),
    ("The whole project, for another computer", "project"),
]
SCREENS = {"studio": "Studio", "explore": "Explore"}


def build_export(studio: "Studio", scratch: Path, project: gr.State, ids: gr.State) -> None:
    """Lay out and wire what is taken out; with a choice, only the pictures of it."""
    what = gr.Radio(EXPORTS, value="gallery", label="Take with you", elem_id="export-what")
    export = gr.Button("Pack a ZIP", elem_id="export")
    download = gr.DownloadButton("Download", variant="primary", visible=False, elem_id="download")
    export.click(partial(on_export, studio, scratch), [project, what, ids], download, **PRIVATE)
    gr.on([project.change, what.change, ids.change], _hidden, None, download, **SILENT)


def build_bring(
    studio: "Studio", project: gr.State, again: gr.State, brought: gr.State, tabs: gr.Tabs
) -> None:
    """Lay out and wire what is brought in: a picture to its screen, a project beside the others."""
    drop = gr.File(
        label="Bring in a picture or a project", file_types=[".png", ".zip"], height=150,
        elem_id="gallery-bring",
    )  # fmt: skip
    gr.HTML(
        '<p class="quiet">A PNG made here, by A1111 or by InvokeAI sets its screen as it was; '
        "a project's ZIP becomes a project.</p>", padding=False,
    )  # fmt: skip
    drop.upload(partial(on_bring, studio), [project, drop], [again, tabs, brought, drop], **PRIVATE)


def build_import(studio: "Studio", brought: gr.State) -> None:
    """A button that brings in a whole project, for the first screen."""
    press = gr.UploadButton(
        "Bring in a project from a ZIP", file_types=[".zip"], elem_id="import-project"
    )
    press.upload(partial(on_import, studio), press, brought, **PRIVATE)


def _hidden() -> Any:
    return gr.update(visible=False)


@shown_to_user
def on_export(
    studio: "Studio", scratch: Path, project: int | None, what: str, ids: Sequence[int] = (),
    progress: gr.Progress = PROGRESS,
) -> Any:  # fmt: skip
    """Pack a ZIP and offer it under a name that says what it is."""
    progress(0, desc="Packing")
    view = studio.projects.get(chosen(project))
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=scratch, prefix="export-"))
    some = list(ids) if ids and what == "gallery" else None
    stem = f"{file_stem(view.name)}-{'chosen' if some else what}"
    report = studio.exports.export(view.id, what, folder / f"{stem}.zip", some)
    size = f"{report.bytes / 1e6:.1f} MB"
    label = f"Download {report.file.name} ({counted(report.num_files, 'file')}, {size})"
    return gr.update(value=str(report.file), label=label, visible=True)


@shown_to_user
def on_bring(
    studio: "Studio", project: int | None, file: str | None, progress: gr.Progress = PROGRESS
) -> tuple[Any, ...]:
    """A picture fills the screen that made it; a project is opened beside the others."""
    path = Path(file or "")
    if path.suffix.lower() == ".zip":
        return gr.skip(), gr.skip(), _imported(studio, path, progress), None
    if path.suffix.lower() != ".png":
        raise InvalidInputError(f"Give a PNG picture or a project's ZIP, got {path.name!r}.")
    view = studio.recalling.read(path, chosen(project))
    return view, going_to(view), gr.skip(), None


@shown_to_user
def on_import(studio: "Studio", file: str | None, progress: gr.Progress = PROGRESS) -> int:
    return _imported(studio, Path(file or ""), progress)


def _imported(studio: "Studio", path: Path, progress: gr.Progress) -> int:
    """The number of the project that was brought in."""
    progress(0, desc="Looking through the file")
    made = studio.imports.import_project(
        path, on_progress=lambda done, total: progress((done, total), desc="Bringing in")
    )
    gr.Info(
        f"{made.project.name}: {counted(made.num_pictures, 'picture')} of the set, "
        f"{counted(made.num_parts, 'trained part')}, {counted(made.num_images, 'picture')} made."
    )
    return made.project.id


def going_to(view: AgainView) -> Any:
    """The tabs with the view's screen in front; what cannot stand as it stood is said."""
    gr.Info(f"{SCREENS[view.screen]} stands as it stood for this picture.")
    for sentence in view.notes:
        gr.Warning(sentence)
    return gr.Tabs(selected=view.screen)


def file_stem(name: str) -> str:
    """A project's name as part of a file's name."""
    return re.sub(r"[^\w-]+", "-", name).strip("-") or "project"
