"""The Pictures screen: drop pictures in, see what became of each, look at the set."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.studio.views import ImportReport
from dyod_studio.ui.errors import chosen, shown_to_user
from dyod_studio.ui.paging import PAGE_SIZE, build_pager, pager_updates, turned
from dyod_studio.ui.pieces import counted, heading, import_report, note
from dyod_studio.ui.wiring import PRIVATE, PROGRESS, SILENT

if TYPE_CHECKING:
    from dyod_studio.studio.facade import Studio

FEW = 12


def build_pictures(studio: "Studio", project: gr.State, tabs: gr.Tabs) -> list[Any]:
    """Lay out the screen and wire it; returns what ``show_pictures`` fills."""
    with gr.Row():
        with gr.Column(scale=2, min_width=340):
            gr.HTML(heading("Pictures", "One style, many examples: 20 to a few thousand."))
            drop = gr.File(
                label="Drop pictures or ZIP files here", file_count="multiple", height=170,
                elem_id="drop",
            )  # fmt: skip
            with gr.Row():
                folder = gr.UploadButton(
                    "Add a whole folder", file_count="directory", size="sm", elem_id="add-folder"
                )
                examples = gr.Button("Add the example set", size="sm", elem_id="add-examples")
            report = gr.HTML(elem_id="import-report", padding=False)
        with gr.Column(scale=3, min_width=420):
            with gr.Row(elem_classes="headed"):
                summary = gr.HTML(elem_id="set-summary", padding=False)
                go_on = gr.Button(
                    "Go on: train", variant="primary", size="md", visible=False, scale=0,
                    min_width=150, elem_id="to-train",
                )  # fmt: skip
            gallery = gr.Gallery(
                label="The set", show_label=False, columns=6, fit_columns=False, height="auto",
                object_fit="contain",
                buttons=[], interactive=False, elem_id="set", elem_classes="thumbs", visible=False,
            )  # fmt: skip
            pager = build_pager("Before", "After", "set-pager")
    shown = [summary, gallery, go_on, *pager]
    hidden = {"show_progress_on": [report], **PRIVATE}
    drop.upload(partial(on_add, studio), [project, drop], [drop, report, *shown], **hidden)
    folder.upload(partial(on_add, studio), [project, folder], [folder, report, *shown], **hidden)
    examples.click(partial(on_add_examples, studio), project, [report, *shown], **hidden)
    project.change(lambda: "", None, report, **PRIVATE)
    for button, pages in ((pager.before, -1), (pager.after, 1)):
        button.click(partial(on_turn, studio, pages), [project, pager.offset], shown, **SILENT)
    go_on.click(partial(gr.Tabs, selected="train"), None, tabs, **SILENT)
    return shown


def show_pictures(studio: "Studio", project: int | None, offset: int = 0) -> tuple[Any, ...]:
    """A page of the set, or how to begin when it is empty."""
    if project is None:
        return note("Choose a project first."), gr.update(), gr.update(), *pager_updates(0, 0)
    total = studio.projects.get(project).num_pictures
    views = studio.projects.pictures(project, offset=offset, limit=PAGE_SIZE)
    thumbs = [(str(view.thumbnail), view.name) for view in views]
    return (
        set_summary(total),
        gr.update(value=thumbs, visible=total > 0),
        gr.update(visible=total > 0),
        *pager_updates(offset, total),
    )


def set_summary(total: int) -> str:
    if total == 0:
        return (
            '<div class="empty"><h3>No pictures yet</h3><p>Drop some on the left, choose a folder,'
            " or begin with the example set.</p></div>"
        )
    advice = "Enough to try; more pictures of the same style make it steadier."
    title = counted(total, "picture")
    return heading(title, advice if total < FEW else "This is what the studio will learn from.")


@shown_to_user
def on_turn(studio: "Studio", pages: int, project: int | None, offset: int) -> tuple[Any, ...]:
    total = studio.projects.get(chosen(project)).num_pictures
    return show_pictures(studio, project, turned(offset, pages, total))


@shown_to_user
def on_add(
    studio: "Studio",
    project: int | None,
    files: Sequence[str] | None,
    progress: gr.Progress = PROGRESS,
) -> tuple[Any, ...]:
    """Add what was dropped; the drop zone is empty again afterwards."""
    paths = [Path(file) for file in files or ()]
    report = studio.projects.add_pictures(chosen(project), paths, told(progress))
    return None, *_reported(studio, project, report)


@shown_to_user
def on_add_examples(
    studio: "Studio", project: int | None, progress: gr.Progress = PROGRESS
) -> tuple[Any, ...]:
    progress(0, desc="Reading the example pictures")
    return _reported(studio, project, studio.projects.add_examples(chosen(project)))


def _reported(studio: "Studio", project: int | None, report: ImportReport) -> tuple[Any, ...]:
    return import_report(report), *show_pictures(studio, project)


def told(progress: gr.Progress) -> Callable[[int, int | None], None]:
    """A callback that tells the page how many pictures are checked."""

    def tell(done: int, total: int | None) -> None:
        progress((done, total), desc="Checking the pictures", unit="pictures")

    return tell
