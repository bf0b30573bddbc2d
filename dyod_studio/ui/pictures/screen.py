"""The Pictures screen: drop pictures in, see what became of each, look the set over."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.ui.common.handlers import PRIVATE, PROGRESS, SILENT, chosen, shown_to_user
from dyod_studio.ui.common.html import heading, import_report
from dyod_studio.ui.common.switcher import show_switcher
from dyod_studio.ui.pictures.collection import build_set, show_set

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

Show = Callable[["Studio", int | None], tuple[Any, ...]]
"""Fills the components that change when pictures are added."""


def build_drop(
    studio: "Studio", project: gr.State, shown: Sequence[Any], show: Show, switcher: gr.HTML,
    name: str = "",
) -> None:  # fmt: skip
    """Lay out and wire it; ``shown`` is what ``show`` fills, ``name`` begins every id here.

    The list of projects shows the first picture of this one at once.
    """
    drop = gr.File(
        label="Drop pictures or ZIP files here", file_count="multiple", height=170,
        elem_id=f"{name}drop",
    )  # fmt: skip
    with gr.Row():
        folder = gr.UploadButton(
            "Add a whole folder", file_count="directory", size="sm", elem_id=f"{name}add-folder"
        )
        examples = gr.Button("Add the example set", size="sm", elem_id=f"{name}add-examples")
    report = gr.HTML(elem_id=f"{name}import-report", padding=False)
    options = {"show_progress_on": [report], **PRIVATE}
    for source in (drop, folder):
        source.upload(
            partial(on_add, studio, show), [project, source], [source, report, *shown], **options
        )
    examples.click(partial(on_add_examples, studio, show), project, [report, *shown], **options)
    project.change(lambda: "", None, report, **SILENT)
    report.change(partial(show_switcher, studio), project, switcher, **SILENT)


@shown_to_user
def on_add(
    studio: "Studio",
    show: Show,
    project: int | None,
    files: Sequence[str] | None,
    progress: gr.Progress = PROGRESS,
) -> tuple[Any, ...]:
    """Add what was dropped; the drop zone is empty again afterwards."""
    paths = [Path(file) for file in files or ()]
    report = studio.projects.add_pictures(chosen(project), paths, counted_on(progress))
    return None, import_report(report), *show(studio, project)


@shown_to_user
def on_add_examples(
    studio: "Studio", show: Show, project: int | None, progress: gr.Progress = PROGRESS
) -> tuple[Any, ...]:
    progress(0, desc="Reading the example pictures")
    report = studio.projects.add_examples(chosen(project))
    return import_report(report), *show(studio, project)


def counted_on(progress: gr.Progress) -> Callable[[int, int | None], None]:
    """A callback that tells the page how many pictures are checked."""

    def tell(done: int, total: int | None) -> None:
        progress((done, total), desc="Checking the pictures", unit="pictures")

    return tell


def build_pictures(
    studio: "Studio", project: gr.State, tabs: gr.Tabs, switcher: gr.HTML
) -> list[Any]:
    """Lay out the screen and wire it; returns what ``show_pictures`` fills."""
    with gr.Row():
        with gr.Column(scale=2, min_width=300) as left:
            gr.HTML(heading("Pictures", "One style, many examples: 20 to a few thousand."))
        with gr.Column(scale=3, min_width=300):
            pieces = build_set(studio, project)
            go_on = gr.Button("Go on: train", variant="primary", visible=False, elem_id="to-train")
    shown = [*pieces.outputs, go_on]
    with left:
        build_drop(studio, project, shown, show_pictures, switcher)
    go_on.click(partial(gr.Tabs, selected="train"), None, tabs, **SILENT)
    return shown


def show_pictures(studio: "Studio", project: int | None) -> tuple[Any, ...]:
    """The set, and the way on once there is one."""
    has_any = project is not None and studio.projects.get(project).num_pictures > 0
    return *show_set(studio, project), gr.update(visible=has_any)
