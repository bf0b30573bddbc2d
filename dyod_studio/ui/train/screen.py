"""The Train screen: one button for all of it, or one method with its own settings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.requests.part_kinds import usual_methods
from dyod_studio.services.training.methods import method_summaries
from dyod_studio.services.views import FieldView, MethodView
from dyod_studio.ui.common.handlers import PRIVATE, chosen, shown_to_user
from dyod_studio.ui.common.html import heading
from dyod_studio.ui.common.run_actions import Form
from dyod_studio.ui.common.run_html import method_name
from dyod_studio.ui.train.live import build_live
from dyod_studio.ui.train.plan import build_plan, plan_html

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

HOW = """
<ol class="how"><li><b>Set style</b> learns how your pictures are drawn, whatever they show
<span>(LoRA)</span></li><li><b>Shape model</b> learns the variety of shapes in it, for
new pictures and sliders <span>(initial VAE)</span></li></ol>
"""


def build_train(
    studio: "Studio", scratch: Path, project: gr.State, timer: gr.Timer, tab: gr.Tab
) -> list[Any]:
    """Lay out the screen and wire it; returns what ``describe_training`` fills."""
    queued, proposed = gr.State(0), gr.State({})
    with gr.Row():
        with gr.Column(scale=2, min_width=340):
            gr.HTML(heading("Train", "It runs in the background: draw, or close the page."))
            gr.HTML(HOW, padding=False)
            plan = build_plan(studio, project, tab, [(method, {}) for method in usual_methods()])
            both = gr.Button("Train both", variant="primary", elem_id="train-both")
            with gr.Accordion("One method, with its own settings", open=False) as drawer:
                method = gr.Radio(
                    choices=[(method_name(name), name) for name in method_summaries()],
                    value=None, label="Method", elem_id="method",
                )  # fmt: skip
                form = Form(drawer, method, proposed, queued)
                _draw_forms(studio, project, form, plan)
        with gr.Column(scale=3, min_width=420):
            live = build_live(studio, scratch, project, timer, form)
    both.click(partial(on_train_both, studio), [project, queued], queued, **PRIVATE)
    return live


def _draw_forms(studio: "Studio", project: gr.State, form: Form, plan: gr.HTML) -> None:
    """Draw the chosen method's fields; none is chosen until somebody opens the drawer.

    What the fields are is known to the training code, and reading it loads PyTorch. The browser
    itself makes the first choice: one that came from the server could undo the user's own, and
    a form drawn twice would lose what was typed into the first.
    """
    first = f"method => method ?? '{usual_methods()[0]}'"
    form.drawer.expand(None, form.method, form.method, js=first)

    def draw(name: str | None, proposed: Mapping[str, Any]) -> None:
        if name is not None:
            method = proposed_method(_method(studio, name), proposed)
            _draw_form(studio, project, method, form.queued, plan)

    gr.render([form.method, form.proposed], show_progress="hidden")(draw)


def proposed_method(method: MethodView, proposed: Mapping[str, Any]) -> MethodView:
    """The method with the settings of a run in place of its own defaults."""
    if proposed.get("method") != method.name:
        return method
    settings = proposed["settings"]
    fields = (
        replace(view, default=settings.get(view.name, view.default)) for view in method.fields
    )
    return replace(method, fields=tuple(fields))


def _method(studio: "Studio", name: str) -> MethodView:
    return next(view for view in studio.training.methods() if view.name == name)


def _draw_form(
    studio: "Studio", project: gr.State, method: MethodView, queued: gr.State, plan: gr.HTML
) -> None:
    gr.Markdown(about(method))
    with gr.Row(elem_classes="fields"):
        fields = [draw_field(view) for view in method.fields]
    with gr.Row():
        ask = gr.Button("What will it take?", elem_id=f"plan-{method.name}", min_width=120)
        start = gr.Button("Train only this", elem_id=f"train-{method.name}", min_width=120)
    names = tuple(view.name for view in method.fields)
    start.click(
        partial(on_train_one, studio, method.name, names), [project, queued, *fields], queued,
        **PRIVATE,
    )  # fmt: skip
    ask.click(
        partial(on_plan_one, studio, method.name, names), [project, *fields], plan,
        show_progress_on=[plan], **PRIVATE,
    )  # fmt: skip


def about(method: MethodView) -> str:
    """Markdown on a method: what it is for, for how many pictures, and what it costs."""
    mark = " (for comparison)" if method.is_baseline else ""
    text = f"**{method.title}{mark}.** {method.summary}"
    return f"{text} For {method.num_pictures} pictures. {method.cost}"


def draw_field(view: FieldView) -> gr.components.Component:
    """One form field for one setting."""
    common = {
        "label": view.title, "info": view.help, "elem_id": f"field-{view.name}",
        "interactive": True, "min_width": 170,
    }  # fmt: skip
    if view.kind == "bool":
        return gr.Checkbox(value=bool(view.default), **common)
    if view.kind == "choice":
        return gr.Dropdown(list(view.choices), value=view.default, **common)
    if view.kind == "str":
        return gr.Textbox(value=view.default or "", max_lines=1, **common)
    precision = 0 if view.kind == "int" else None
    return gr.Number(value=view.default, precision=precision, **common)


@shown_to_user
def on_train_both(studio: "Studio", project: int | None, queued: int) -> int:
    """Queue both methods, but none twice; returns how often something was queued on this page."""
    active = {job.kind for job in studio.training.jobs(chosen(project)) if not job.is_final}
    for method in usual_methods():
        if method not in active:
            studio.training.start(chosen(project), method, {})
    gr.Info("Both are in the queue. Watch them here, or go on and draw.")
    return queued + 1


@shown_to_user
def on_train_one(
    studio: "Studio", method: str, names: Sequence[str], project: int | None, queued: int,
    *values: Any,
) -> int:  # fmt: skip
    """Queue one method; a field left empty keeps the method's own default."""
    studio.training.start(chosen(project), method, given(names, values))
    return queued + 1


@shown_to_user
def on_plan_one(
    studio: "Studio", method: str, names: Sequence[str], project: int | None, *values: Any
) -> str:
    """Plan this method with the settings as they were typed."""
    return plan_html([studio.training.plan(chosen(project), method, given(names, values))])


def given(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    """The fields that were filled in."""
    return {
        name: value for name, value in zip(names, values, strict=True) if value not in (None, "")
    }
