"""The Gallery screen: everything that was made, how it was made, and all of it as a ZIP."""

import re
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.studio.views import GenerationView
from dyod_studio.ui.errors import chosen, shown_to_user
from dyod_studio.ui.paging import PAGE_SIZE, build_pager, pager_updates, turned
from dyod_studio.ui.pieces import counted, heading, kind_name, parameter_table
from dyod_studio.ui.wiring import PRIVATE, PROGRESS, SILENT

if TYPE_CHECKING:
    from dyod_studio.studio.facade import Studio

EXPORTS = [
    ("All pictures made here", "gallery"),
    ("What it has learned", "artifacts"),
    ("The whole project", "project"),
]
EMPTY = """
<div class="empty"><h3>Nothing made yet</h3><p>Everything you make in Studio and Explore is kept
here, with all that is needed to make it again.</p></div>
"""
CHOOSE = '<p class="quiet">Click a picture to see how it was made.</p>'


def build_gallery(studio: "Studio", scratch: Path, project: gr.State) -> list[Any]:
    """Lay out the screen and wire it; returns what ``show_gallery`` fills."""
    views = gr.State(())
    with gr.Row():
        with gr.Column(scale=3, min_width=420):
            summary = gr.HTML(elem_id="gallery-summary", padding=False)
            thumbs = gr.Gallery(
                label="Gallery", show_label=False, columns=6, fit_columns=False, height="auto",
                object_fit="contain",
                allow_preview=False, buttons=[], interactive=False, elem_id="gallery",
                elem_classes="thumbs", visible=False,
            )  # fmt: skip
            pager = build_pager("Newer", "Older", "gallery-pager")
        with gr.Column(scale=1, min_width=300):
            picture = gr.Image(
                label="Picture", show_label=False, interactive=False, height=300, format="png",
                buttons=["download", "fullscreen"], visible=False, elem_id="gallery-picture",
                elem_classes="frame",
            )  # fmt: skip
            details = gr.HTML(elem_id="gallery-details", padding=False)
            what = gr.Radio(EXPORTS, value="gallery", label="Take with you", elem_id="export-what")
            export = gr.Button("Pack a ZIP", elem_id="export")
            download = gr.DownloadButton(
                "Download", variant="primary", visible=False, elem_id="download"
            )
    shown = [summary, thumbs, views, picture, details, *pager]
    for button, pages in ((pager.before, -1), (pager.after, 1)):
        button.click(partial(on_turn, studio, pages), [project, pager.offset], shown, **SILENT)

    def on_select(views: Sequence[GenerationView], event: gr.SelectData) -> tuple[Any, str]:
        return show_details(views, event.index)

    thumbs.select(on_select, views, [picture, details], **SILENT)
    export.click(partial(on_export, studio, scratch), [project, what], download, **PRIVATE)
    gr.on([project.change, what.change], _hidden, None, download, **SILENT)
    return shown


def _hidden() -> Any:
    return gr.update(visible=False)


def show_gallery(studio: "Studio", project: int | None, offset: int = 0) -> tuple[Any, ...]:
    """A page of what was made, the newest first."""
    total, views = 0, []
    if project is not None:
        total = studio.gallery.count(project)
        views = studio.gallery.page(project, offset=offset, limit=PAGE_SIZE)
    thumbs = [(str(view.thumbnail), kind_name(view)) for view in views]
    title = heading(f"{counted(total, 'picture')} made", "The newest first.")
    return (
        title if total else EMPTY,
        gr.update(value=thumbs, visible=total > 0, selected_index=None),
        tuple(views),
        gr.update(value=None, visible=False),
        CHOOSE if total else "",
        *pager_updates(offset, total),
    )


def show_details(views: Sequence[GenerationView], index: int) -> tuple[Any, str]:
    """The picture at its full size, and every parameter."""
    view = views[index]
    return gr.update(value=str(view.file), visible=True), parameter_table(view)


@shown_to_user
def on_turn(studio: "Studio", pages: int, project: int | None, offset: int) -> tuple[Any, ...]:
    total = studio.gallery.count(chosen(project))
    return show_gallery(studio, project, turned(offset, pages, total))


@shown_to_user
def on_export(
    studio: "Studio",
    scratch: Path,
    project: int | None,
    what: str,
    progress: gr.Progress = PROGRESS,
) -> Any:
    """Pack a ZIP and offer it under a name that says what it is."""
    progress(0, desc="Packing")
    view = studio.projects.get(chosen(project))
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=scratch, prefix="export-"))
    report = studio.exports.export(view.id, what, folder / f"{file_stem(view.name)}-{what}.zip")
    size = f"{report.bytes / 1e6:.1f} MB"
    label = f"Download {report.file.name} ({counted(report.num_files, 'file')}, {size})"
    return gr.update(value=str(report.file), label=label, visible=True)


def file_stem(name: str) -> str:
    """A project's name as part of a file's name."""
    return re.sub(r"[^\w-]+", "-", name).strip("-") or "project"
