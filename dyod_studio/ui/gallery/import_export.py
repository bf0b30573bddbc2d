"""Files out of the gallery and into it: a ZIP, a picture that says how it was made, a project,
a trained part made elsewhere."""

import re
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.errors import InvalidInputError
from dyod_studio.services.views import Provenance
from dyod_studio.ui.common.handlers import PRIVATE, PROGRESS, SILENT, chosen, shown_to_user
from dyod_studio.ui.common.html import counted
from dyod_studio.ui.common.run_html import method_name

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

EXPORTS = [
    ("Pictures, with all that made them", "gallery"),
    ("What it has learned, for other tools", "artifacts"),
    ("Your pictures with their captions, for other tools", "dataset"),
    ("The whole project, for another computer", "project"),
]
OF_PARTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
"""What trained parts are kept in. Only the first is read; the others are refused with a remedy."""
BESIDE = "adapter_config.json"
"""What PEFT writes beside its weights: how much they count."""
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
    """Lay out and wire what is brought in: a picture to its screen, a project beside the others,
    a trained part into this project.
    """
    drop = gr.File(
        label="Bring in a picture, a project or a trained part", file_count="multiple", height=150,
        elem_id="gallery-bring",
    )  # fmt: skip
    gr.HTML(
        '<p class="quiet">A PNG made here, by A1111 or by InvokeAI sets its screen as it was; '
        "a project's ZIP becomes a project; a LoRA or a textual inversion (.safetensors) can be "
        "drawn with in this one.</p>", padding=False,
    )  # fmt: skip
    bring = drop.upload(
        partial(on_bring, studio), [project, drop], [again, tabs, brought],
        show_progress_on=[drop], **PRIVATE,
    )  # fmt: skip
    for ended in (bring.success, bring.failure):  # Gradio's ``then`` leaves a failure out
        ended(lambda: None, None, drop, **SILENT)


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
    studio: "Studio", project: int | None, files: Sequence[str] | None,
    progress: gr.Progress = PROGRESS,
) -> tuple[Any, ...]:  # fmt: skip
    """A picture fills the screen that made it, a project is opened beside the others, a trained
    part is kept with this one's.
    """
    path, beside = _one_of(files)
    if path.suffix.lower() == ".zip":
        return gr.skip(), gr.skip(), _imported(studio, path, progress)
    if path.suffix.lower() in OF_PARTS:
        progress(0, desc="Trying it on the base model")
        _bring_part(studio, chosen(project), path, beside)
        return (gr.skip(),) * 3
    if path.suffix.lower() != ".png":
        raise InvalidInputError(
            "Give a PNG picture, a project's ZIP or a trained part's .safetensors, "
            f"got {path.name!r}."
        )
    view = studio.recreation.read(path, chosen(project))
    return view, going_to(view), gr.skip()


@shown_to_user
def on_import(studio: "Studio", file: str | None, progress: gr.Progress = PROGRESS) -> int:
    return _imported(studio, Path(file or ""), progress)


def _one_of(files: Sequence[str] | None) -> tuple[Path, Path | None]:
    """File that is brought in, and PEFT's word on it where that came along."""
    paths = [Path(file) for file in files or ()]
    beside = next((path for path in paths if path.name == BESIDE and len(paths) > 1), None)
    some = [path for path in paths if path != beside]
    if len(some) != 1:
        raise InvalidInputError(f"Bring in one file at a time, got {len(some)}.")
    return some[0], beside


def _bring_part(studio: "Studio", project: int, path: Path, beside: Path | None) -> None:
    """Keep a trained part, and say what it is and where it can be chosen."""
    if beside is None:
        part = studio.artifacts.import_file(project, path)
    else:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            both = [Path(shutil.copy(file, folder)) for file in (path, beside)]
            part = studio.artifacts.import_file(project, both[0])
    word = f", and say {part.token} in the prompt" if part.token else ""
    gr.Info(
        f"{part.title} is here ({method_name(part.kind, is_imported=True)}): choose it under "
        f"“Trained parts to use” in the Studio{word}."
    )


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


def going_to(view: Provenance) -> Any:
    """The tabs with the view's screen in front; what cannot stand as it stood is said."""
    gr.Info(f"{SCREENS[view.screen]} stands as it stood for this picture.")
    for sentence in view.notes:
        gr.Warning(sentence)
    return gr.Tabs(selected=view.screen)


def file_stem(name: str) -> str:
    """A project's name as part of a file's name."""
    return re.sub(r"[^\w-]+", "-", name).strip("-") or "project"
