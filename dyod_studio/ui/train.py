"""The Train screen: one button for all of it, or one method with its own settings."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.studio.views import FieldView, MethodView
from dyod_studio.ui.errors import chosen, shown_to_user
from dyod_studio.ui.pieces import heading, method_name
from dyod_studio.ui.train_live import build_live
from dyod_studio.ui.wiring import PRIVATE, SILENT

if TYPE_CHECKING:
    from dyod_studio.studio.facade import Studio

BOTH = ("inversion", "vae")
"""What a newcomer needs, in the order it is trained."""
HOW = """
<ol class="how"><li><b>Style word</b> looks for the one word that describes your whole set
<span>(textual inversion)</span></li><li><b>Shape model</b> learns the variety of shapes in it, for
new pictures and sliders <span>(initial VAE)</span></li></ol>
"""


def build_train(studio: "Studio", project: gr.State, timer: gr.Timer) -> list[Any]:
    """Lay out the screen and wire it; returns what ``describe_training`` fills."""
    with gr.Row():
        with gr.Column(scale=2, min_width=340):
            gr.HTML(heading("Train", "It runs in the background: draw, or close the page."))
            gr.HTML(HOW, padding=False)
            both = gr.Button("Train both", variant="primary", elem_id="train-both")
            with gr.Accordion("One method, with its own settings", open=False) as advanced:
                method = gr.Radio(
                    choices=[(method_name(name), name) for name in BOTH], value=BOTH[0],
                    label="Method", elem_id="method",
                )  # fmt: skip
                asked = gr.State(False)
                queued = gr.State(0)
                _draw_forms(studio, project, method, asked, queued)
        with gr.Column(scale=3, min_width=420):
            live = build_live(studio, project, timer, (queued,))
    advanced.expand(lambda: True, None, asked, **SILENT)
    both.click(partial(on_train_both, studio), [project, queued], queued, **PRIVATE)
    return live


def _draw_forms(
    studio: "Studio", project: gr.State, method: gr.Radio, asked: gr.State, queued: gr.State
) -> None:
    """Draw the chosen method's fields, but only once somebody opens the drawer.

    What the fields are is known to the training code, and reading it loads PyTorch.
    """

    def draw(name: str, is_asked: bool) -> None:
        if is_asked:
            _draw_form(studio, project, _method(studio, name), queued)

    gr.render([method, asked], show_progress="hidden")(draw)


def _method(studio: "Studio", name: str) -> MethodView:
    return next(view for view in studio.training.methods() if view.name == name)


def _draw_form(studio: "Studio", project: gr.State, method: MethodView, queued: gr.State) -> None:
    gr.Markdown(f"**{method.title}.** {method.summary}")
    with gr.Row(elem_classes="fields"):
        fields = [draw_field(view) for view in method.fields]
    start = gr.Button("Train only this", elem_id=f"train-{method.name}")
    names = tuple(view.name for view in method.fields)
    start.click(
        partial(on_train_one, studio, method.name, names), [project, queued, *fields], queued,
        **PRIVATE,
    )  # fmt: skip


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
    for method in BOTH:
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
    given = {
        name: value for name, value in zip(names, values, strict=True) if value not in (None, "")
    }
    studio.training.start(chosen(project), method, given)
    return queued + 1
