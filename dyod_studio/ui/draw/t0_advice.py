"""The t0 slider's advice: where the set was measured to be closest, with the curve below."""

from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.services.evaluation.plot import advice_svg
from dyod_studio.ui.common.handlers import SILENT, quiet_on_timer

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

Applied = tuple[int | None, float | None]
"""The project and the t0 that the slider was set to last; a hand on it is left alone."""


def build_t0_curve(elem_id: str) -> gr.HTML:
    """The place of the curve, right under its slider."""
    return gr.HTML(elem_id=elem_id, padding=False)


def wire_t0_advice(
    studio: "Studio", project: gr.State, tab: gr.Tab, slider: gr.Slider, curve: gr.HTML,
    default: float,
) -> None:  # fmt: skip
    """Fill the curve, and set the slider to what was measured, else to ``default``."""
    applied = gr.State((None, None))
    gr.on(
        [project.change, tab.select], partial(show_t0_advice, studio, default),
        [project, applied], [slider, curve, applied], **SILENT,
    )  # fmt: skip


@quiet_on_timer
def show_t0_advice(
    studio: "Studio", default: float, project: int | None, applied: Applied
) -> tuple[Any, str, Applied]:
    """Set the slider for another project, or when the advice has changed."""
    advice = None if project is None else studio.evaluation.advice(project)
    now: Applied = (project, None if advice is None else advice.t0)
    is_same = tuple(applied) == now
    value = default if advice is None else advice.t0
    return gr.skip() if is_same else gr.update(value=value), advice_svg(advice), now
