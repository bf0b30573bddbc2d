"""Plan of a training before it starts: memory, time, and whether that was measured."""

from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING

import gradio as gr

from dyod_studio.errors import StudioError
from dyod_studio.services.views import PlanView
from dyod_studio.ui.common.handlers import PRIVATE, PROGRESS, SILENT, chosen, shown_to_user
from dyod_studio.ui.common.html import note
from dyod_studio.ui.common.run_html import duration, memory, method_name, progress_bar

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

LOOKING = '<div class="plan"><p class="quiet">Looking at what this computer has free …</p></div>'
MEASURED = "Measured on this computer."
ESTIMATED = "An estimate: it was not measured on this computer yet."

MethodSettings = Sequence[tuple[str, Mapping[str, object]]]
"""What shall be trained: methods and their settings."""


def build_plan(
    studio: "Studio", project: gr.State, tab: gr.Tab, settings: MethodSettings
) -> gr.HTML:
    """Lay out and wire the panel; it is filled when the screen comes into sight."""
    panel = gr.HTML(LOOKING, elem_id="plan", padding=False)
    measure = gr.Button("Measure on this computer", size="sm", elem_id="measure")
    tab.select(partial(show_plan, studio, settings), project, panel, **SILENT)
    measure.click(
        partial(on_measure, studio, settings), project, panel, show_progress_on=[panel], **PRIVATE
    )
    return panel


def show_plan(studio: "Studio", settings: MethodSettings, project: int | None) -> str:
    """Show the plan of what was chosen; what stands in the way, in its sentence."""
    if project is None:
        return ""
    try:
        plans = [studio.training.plan(project, method, values) for method, values in settings]
    except StudioError as exc:
        return note(str(exc))
    return plan_html(plans)


@shown_to_user
def on_measure(
    studio: "Studio",
    settings: MethodSettings,
    project: int | None,
    progress: gr.Progress = PROGRESS,
) -> str:
    """Make a few real steps of each method, and plan with what they took."""
    plans = []
    for number, (method, values) in enumerate(settings):
        progress(number / len(settings), desc=f"A few real steps: {method_name(method)}")
        plans.append(studio.training.plan(chosen(project), method, values, measure=True))
    return plan_html(plans)


def plan_html(plans: Sequence[PlanView]) -> str:
    rows = "".join(_plan_row(plan) for plan in plans)
    return f'<div class="plan"><h3>What it will take</h3>{rows}</div>'


def _plan_row(plan: PlanView) -> str:
    share = plan.peak_memory_mb / plan.free_mb if plan.free_mb else 1.0
    figures = f"{memory(plan.peak_memory_mb)} of {memory(plan.free_mb)} free"
    lines = [ESTIMATED if plan.is_estimate else MEASURED, *plan.measures]
    words = "".join(f'<p class="quiet">{escape(line)}</p>' for line in lines)
    advice = note(plan.advice, "hint" if plan.fits else "bad") if plan.advice else ""
    kind = "plan-row" if plan.fits else "plan-row plan-tight"
    return (
        f'<div class="{kind}" data-plan="{escape(plan.method)}">'
        f"<div><b>{escape(method_name(plan.method))}</b><span>{duration(plan.seconds)}</span></div>"
        f"{progress_bar(share)}<div><span>Memory</span><span>{figures}</span></div>{words}{advice}"
        "</div>"
    )
