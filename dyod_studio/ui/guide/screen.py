"""The guide: from a heap of pictures to the first pictures of one's own, a step at a time.

Every step is made of the pieces of the other screens; whoever knows the way uses those at once.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.ui.common.handlers import PRIVATE, SILENT
from dyod_studio.ui.common.html import heading
from dyod_studio.ui.guide.steps import (
    CHECK,
    FIRST,
    LEARN,
    NEED,
    PICTURES,
    TRAIN,
    build_learn,
    build_need,
    on_check,
    on_learn,
    on_need,
    on_project,
    on_rights,
    on_start,
    show_guide,
    show_learn,
    show_need,
)
from dyod_studio.ui.guide.training import build_first, build_run, wire_run
from dyod_studio.ui.pictures.collection import build_set
from dyod_studio.ui.pictures.screen import build_drop

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

SKIP = (
    '<p class="quiet">You know your way? Every step has a screen of its own above: '
    '<button type="button" class="link" data-go="pictures">skip the guide</button>.</p>'
)


def build_guide(studio: "Studio", project: gr.State, timer: gr.Timer, switcher: Any) -> list[Any]:
    """Lay out the screen and wire it; returns what ``show_guide`` fills."""
    gr.HTML(SKIP, elem_id="guide-skip", padding=False)
    number = gr.State(PICTURES)
    with gr.Walkthrough(selected=PICTURES, elem_id="guide-steps") as steps:
        with gr.Step("Pictures", id=PICTURES) as first_step:
            gr.HTML(heading("Your pictures", "One style, many examples: 20 to a few thousand."))
        with gr.Step("Check", id=CHECK):
            pieces = build_set(studio, project, "guide-")
            rights = _build_rights()
            to_learn = _next_button("guide-to-learn")
        with gr.Step("What to learn", id=LEARN):
            learn = build_learn()
            to_need = _next_button("guide-to-need")
        with gr.Step("Memory and time", id=NEED):
            plan = build_need(studio, project, learn)
            start = gr.Button("Start the training", variant="primary", elem_id="guide-start")
        with gr.Step("Train", id=TRAIN):
            run = build_run(studio, project)
        with gr.Step("First pictures", id=FIRST):
            first = build_first()
    shown = [*pieces.outputs, rights]
    with first_step:
        build_drop(studio, project, shown, show_guide, switcher, "guide-")
        to_check = _next_button("guide-to-check")
    place, chosen = [steps, number], [project, learn.methods, learn.noun]
    project.change(partial(on_project, studio), project, place, **SILENT)
    steps.select(on_step, None, number, **SILENT)
    rights.input(partial(on_rights, studio), [project, rights], None, **SILENT)
    to_check.click(partial(on_check, studio), project, [*place, *shown], **SILENT)
    to_learn.click(partial(on_learn, studio), [project, rights], place, **SILENT).success(
        partial(show_learn, studio), project, [*learn], show_progress_on=[learn.reasons], **PRIVATE
    )
    to_need.click(partial(on_need, studio), chosen, place, **SILENT).success(
        partial(show_need, studio), chosen, plan, show_progress_on=[plan], **PRIVATE
    )
    start.click(partial(on_start, studio), chosen, place, **SILENT)
    wire_run(studio, project, timer, (steps, number), run, first)
    return shown


def _build_rights() -> gr.Checkbox:
    return gr.Checkbox(
        label="These pictures are mine, or I may use them for this.",
        info="They stay on this computer. What is learned may show their style.",
        elem_id="guide-rights",
    )


def on_step(event: gr.SelectData) -> int:
    """The number of the step that was gone back to."""
    return int(event.index) + 1


def _next_button(elem_id: str) -> gr.Button:
    return gr.Button("Go on", variant="primary", elem_id=elem_id)
