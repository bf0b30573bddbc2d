"""The last steps of the guide: the training as it goes, and the first pictures by themselves."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.sampling import SampleRequest
from dyod_studio.services.views import JobView, ProjectView
from dyod_studio.ui.common.controls import captioned
from dyod_studio.ui.common.handlers import (
    PRIVATE,
    PROGRESS,
    SILENT,
    chosen,
    progress_callback,
    quiet_on_timer,
    shown_to_user,
)
from dyod_studio.ui.common.html import heading
from dyod_studio.ui.common.run_actions import ACTIONS, NEWEST, on_action, watched_job
from dyod_studio.ui.common.run_html import failure_card, run_actions, run_card
from dyod_studio.ui.guide.steps import FIRST, TRAIN, at

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

NUM_FIRST = 4
NOTHING_YET = '<div class="run"><p class="quiet">Nothing trains at the moment.</p></div>'
NEXT_SCREENS = """<div class="presses">
<button type="button" class="press press-on" data-go="studio">Draw with it</button>
<button type="button" class="press" data-go="explore">More new pictures</button>
</div>"""

Made = tuple[int, list[tuple[str, str]]]
"""A project, and the first pictures that were made in it."""


class Run(NamedTuple):
    """The training as the guide shows it."""

    cards: gr.HTML
    previews: gr.Gallery
    go_on: gr.Button


class First(NamedTuple):
    """The first pictures; ``made`` says which project they belong to."""

    pictures: gr.Gallery
    made: gr.State
    again: gr.Button


def build_run(studio: "Studio", project: gr.State) -> Run:
    gr.HTML(heading("It learns", "The pictures below show what it has understood so far."))
    cards = gr.HTML(NOTHING_YET, elem_id="guide-run", js_on_load=ACTIONS, padding=False)
    previews = gr.Gallery(
        label="As it learns", columns=4, height="auto", object_fit="contain", buttons=[],
        interactive=False, elem_id="guide-previews", elem_classes="thumbs", visible=False,
    )  # fmt: skip
    go_on = gr.Button(
        "See the first pictures", variant="primary", visible=False, elem_id="guide-to-first"
    )

    def on_select(project: int | None, event: gr.EventData) -> None:
        on_action(studio, project, NEWEST, 0, event.values)

    cards.select(on_select, project, None, **SILENT)
    return Run(cards, previews, go_on)


def build_first() -> First:
    gr.HTML(heading("Your first pictures", "Made from nothing, in the style of your set."))
    pictures = gr.Gallery(
        label="First pictures", show_label=False, columns=4, height="auto", object_fit="contain",
        interactive=False, format="png", elem_id="guide-first", elem_classes="thumbs",
    )  # fmt: skip
    again = gr.Button("Make four more", elem_id="guide-again")
    gr.HTML(NEXT_SCREENS)
    return First(pictures, gr.State(None), again)


def wire_run(
    studio: "Studio", project: gr.State, timer: gr.Timer, place: tuple[Any, gr.State], run: Run,
    first: First,
) -> None:  # fmt: skip
    """Keep the training in sight, and make the first pictures once it has ended."""
    steps, number = place
    seen, finished = gr.State({}), gr.State(0)
    gr.on(
        [timer.tick, number.change], partial(describe_run, studio), [project, number, seen],
        [run.cards, run.previews, run.go_on, seen], **SILENT,
    )  # fmt: skip
    timer.tick(
        partial(on_tick, studio), [project, number, finished], [steps, number, finished], **SILENT
    )
    run.go_on.click(partial(at, FIRST), None, [steps, number], **SILENT).then(
        lambda count: count + 1, finished, finished, **SILENT
    )
    make = {"show_progress_on": [first.pictures], **PRIVATE}
    for made in (
        finished.change(partial(on_end, studio), [project, finished], first.made, **make),
        first.again.click(partial(on_first, studio, True), project, first.made, **make),
    ):
        made.success(show_first, [first.made, project], first.pictures, **SILENT)
    project.change(list, None, first.pictures, **SILENT)


@quiet_on_timer
def describe_run(
    studio: "Studio", project: int | None, number: int, seen: Mapping[str, str]
) -> Any:
    """The runs that are open, or else the last; nothing is sent again that the page shows."""
    if project is None or number != TRAIN:
        return gr.skip()
    jobs = studio.training.jobs(project)
    newest = watched_job(jobs, None)
    shown = [job for job in jobs if not job.is_final] or ([newest] if newest else [])
    parts = {
        "cards": "".join(_card(studio, job) for job in shown) or NOTHING_YET,
        "previews": [str(path) for path in newest.previews] if newest else [],
        "learned": bool(studio.projects.get(project).artifacts),
    }
    now = {name: repr(value) for name, value in parts.items()}
    if now == seen:
        return gr.skip()
    return (
        parts["cards"],
        gr.update(value=parts["previews"], visible=bool(parts["previews"])),
        gr.update(visible=parts["learned"]),
        now,
    )


def _card(studio: "Studio", job: JobView) -> str:
    has_state = bool(studio.training.checkpoints(job.id))
    failure = ""
    if job.state == "failed":
        failure = failure_card(job, studio.training.failure_text(job.id), has_state=has_state)
    return run_card(job) + run_actions(job, has_state=has_state) + failure


@quiet_on_timer
def on_tick(studio: "Studio", project: int | None, number: int, finished: int) -> Any:
    """Go on to the first pictures when the last run has ended and left something to draw with."""
    if project is None or number != TRAIN:
        return gr.skip()
    jobs = studio.training.jobs(project)
    is_over = bool(jobs) and all(job.is_final for job in jobs) and jobs_went_well(jobs)
    if not is_over or not studio.projects.get(project).artifacts:
        return gr.skip()
    return *at(FIRST), finished + 1


def jobs_went_well(jobs: list[JobView]) -> bool:
    """Whether the run that ended last has succeeded: after a failure nobody is led away from it."""
    return max(jobs, key=lambda job: job.id).state == "succeeded"


def on_end(
    studio: "Studio", project: int | None, finished: int, progress: gr.Progress = PROGRESS
) -> Any:
    """The first pictures once a run has ended; a page that was just opened has seen none end."""
    return on_first(studio, False, project, progress) if finished else gr.skip()


@shown_to_user
def on_first(
    studio: "Studio", is_more: bool, project: int | None, progress: gr.Progress = PROGRESS
) -> Made:
    """The first pictures of a project, or those there are already."""
    opened = chosen(project)
    if not is_more and studio.gallery.count(opened):
        return opened, captioned(studio.gallery.page(opened, limit=NUM_FIRST))
    progress(0, desc="Waking the model")
    request = first_request(studio.projects.get(opened))
    return opened, captioned(studio.sampling.sample(opened, request, progress_callback(progress)))


def first_request(project: ProjectView) -> SampleRequest:
    """From the shapes where they are learned, else from the word alone."""
    if not project.artifacts:
        raise InvalidInputError("Nothing is learned yet: train something first.")
    if "vae" in project.artifacts:
        return SampleRequest(kind="distribution", num_images=NUM_FIRST)
    return SampleRequest(kind="prompt", num_images=NUM_FIRST)


def show_first(made: Made | None, project: int | None) -> Any:
    """The pictures, unless another project was opened while they were made."""
    if made is None or made[0] != project:
        return gr.skip()
    return made[1]
