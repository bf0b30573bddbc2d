"""The steps of the guide before anything is trained: what each asks, and what it hands on."""

from collections.abc import Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.errors import InvalidInputError, StudioError
from dyod_studio.requests.part_kinds import baseline_kinds, training_methods
from dyod_studio.services.training.methods import method_summaries
from dyod_studio.ui.common.handlers import PRIVATE, PROGRESS, any_text, chosen, shown_to_user
from dyod_studio.ui.common.html import heading, note
from dyod_studio.ui.common.run_html import method_name
from dyod_studio.ui.pictures.collection import show_set
from dyod_studio.ui.train.plan import LOOKING, on_measure, show_plan

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

PICTURES, CHECK, LEARN, NEED, TRAIN, FIRST = range(1, 7)
MethodSettings = list[tuple[str, dict[str, object]]]


class Learn(NamedTuple):
    """Step of what to learn: the reasons, the methods, and what the pictures show."""

    reasons: gr.HTML
    methods: gr.CheckboxGroup
    noun: gr.Textbox


def offered() -> list[str]:
    """The methods to draw with; the others are there to be compared with."""
    return [name for name in training_methods() if name not in baseline_kinds()]


def noun_settings() -> dict[str, str]:
    """The setting of a method that says what the pictures show, where it has one."""
    methods = training_methods().items()
    return {name: method.noun_setting for name, method in methods if method.noun_setting}


def build_learn() -> Learn:
    gr.HTML(heading("What to learn", "A proposal for this set and this computer; change it."))
    reasons = gr.HTML(elem_id="guide-reasons", padding=False)
    summaries = method_summaries()
    choices = [(f"{method_name(name)}: {summaries[name]}", name) for name in offered()]
    methods = gr.CheckboxGroup(choices, label="Learn", elem_id="guide-methods")
    noun = gr.Textbox(
        label="What do the pictures show?", placeholder="shoe", max_lines=1, visible=False,
        elem_id="guide-noun", info="One word for what they have in common. Left empty, the style "
        "word finds one by itself; one subject and one concept need to be told.",
    )  # fmt: skip
    methods.change(on_methods, methods, noun, **PRIVATE, show_progress="hidden")
    return Learn(reasons, methods, noun)


def build_need(studio: "Studio", project: gr.State, learn: Learn) -> gr.HTML:
    gr.HTML(heading("Memory and time", "It runs in the background: draw, or close the page."))
    plan = gr.HTML(LOOKING, elem_id="guide-plan", padding=False)
    measure = gr.Button("Measure on this computer", size="sm", elem_id="guide-measure")
    measure.click(
        partial(on_measure_chosen, studio), [project, learn.methods, learn.noun], plan,
        show_progress_on=[plan], **PRIVATE,
    )  # fmt: skip
    return plan


def place_of(studio: "Studio", project: int) -> int:
    """The step that this project has come to."""
    jobs = studio.training.jobs(project)
    if any(not job.is_final for job in jobs):
        return TRAIN
    view = studio.projects.get(project)
    if view.artifacts:
        return FIRST
    if jobs:
        return TRAIN
    return CHECK if view.num_pictures else PICTURES


def on_project(studio: "Studio", project: int | None) -> tuple[Any, int]:
    return at(PICTURES if project is None else place_of(studio, project))


def at(step: int) -> tuple[Any, int]:
    """The guide with this step open."""
    return gr.Walkthrough(selected=step), step


def show_guide(studio: "Studio", project: int | None) -> tuple[Any, ...]:
    """The set as the second step shows it, and whether it may be used."""
    return *show_set(studio, project), show_rights(studio, project)


def show_rights(studio: "Studio", project: int | None) -> bool:
    return project is not None and studio.pictures.check(project).may_be_used


@shown_to_user
def on_rights(studio: "Studio", project: int | None, may: bool | None) -> None:
    studio.pictures.confirm_rights(chosen(project), may_be_used=bool(may))


@shown_to_user
def on_check(studio: "Studio", project: int | None) -> tuple[Any, ...]:
    if not studio.projects.get(chosen(project)).num_pictures:
        raise InvalidInputError("There are no pictures yet: drop some, or add the example set.")
    return *at(CHECK), *show_guide(studio, project)


@shown_to_user
def on_learn(studio: "Studio", project: int | None, may: bool | None) -> tuple[Any, int]:
    if not studio.projects.get(chosen(project)).num_pictures:
        raise InvalidInputError("Every picture is left out: keep at least one.")
    if not may:
        raise InvalidInputError("Tick first that you may use these pictures.")
    return at(LEARN)


def show_learn(studio: "Studio", project: int | None) -> tuple[str, Any, Any]:
    """Show what a colleague would train, and why; what stands in the way, in its sentence."""
    try:
        found = studio.training.recommend(chosen(project))
    except StudioError as exc:
        return note(str(exc), "bad"), gr.skip(), gr.skip()
    lines = "".join(f"<li>{escape(reason)}</li>" for reason in found.reasons)
    methods = [name for name in found.methods if name in offered()]
    return f'<ul class="advice">{lines}</ul>', gr.update(value=methods), on_methods(methods)


def on_methods(methods: Sequence[str] | None) -> Any:
    """Ask what the pictures show only where a method makes use of it."""
    return gr.update(visible=any(name in noun_settings() for name in methods or ()))


def settings_of(methods: Sequence[str] | None, noun: str | None) -> MethodSettings:
    """The methods in the order in which they are trained, with what they must be told.

    Raises:
        InvalidInputError: nothing was chosen.
    """
    if not methods:
        raise InvalidInputError("Choose at least one thing to learn.")
    shown = any_text(noun) or ""
    nouns = noun_settings()
    return [
        (name, {nouns[name]: shown} if name in nouns else {})
        for name in offered()
        if name in methods
    ]


@shown_to_user
def on_need(
    studio: "Studio", project: int | None, methods: Sequence[str] | None, noun: str | None
) -> tuple[Any, int]:
    """Go on only with settings that a training would take."""
    for method, values in settings_of(methods, noun):
        studio.training.plan(chosen(project), method, values)
    return at(NEED)


@shown_to_user
def show_need(
    studio: "Studio", project: int | None, methods: Sequence[str] | None, noun: str | None
) -> str:
    return show_plan(studio, settings_of(methods, noun), project)


def on_measure_chosen(
    studio: "Studio", project: int | None, methods: Sequence[str] | None, noun: str | None,
    progress: gr.Progress = PROGRESS,
) -> str:  # fmt: skip
    return on_measure(studio, shown_to_user(settings_of)(methods, noun), project, progress)


@shown_to_user
def on_start(
    studio: "Studio", project: int | None, methods: Sequence[str] | None, noun: str | None
) -> tuple[Any, int]:
    """Queue what was chosen, but nothing twice."""
    asked = settings_of(methods, noun)
    active = {job.kind for job in studio.training.jobs(chosen(project)) if not job.is_final}
    for method, values in asked:
        studio.training.plan(chosen(project), method, values)
    for method, values in asked:
        if method not in active:
            studio.training.start(chosen(project), method, values)
    return at(TRAIN)
