"""Training runs while they work, and what can be asked of them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.requests.part_kinds import PART_KINDS, usual_methods
from dyod_studio.services.training.report import curve_svg
from dyod_studio.services.views import CheckpointView, JobView, ProjectView
from dyod_studio.ui.common.handlers import SILENT, quiet_on_timer
from dyod_studio.ui.common.html import data_uri
from dyod_studio.ui.common.run_actions import (
    ACTIONS,
    NEWEST,
    Form,
    build_report,
    in_order,
    watched_job,
    wire_actions,
)
from dyod_studio.ui.common.run_html import (
    failure_card,
    method_name,
    press,
    run_actions,
    run_card,
    run_list,
)

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

THUMBNAIL_PX = 112
HEAD = """<div class="heading"><h3>Saved states</h3><p>The same four seeds in each, so that they
compare. {hint}</p></div>"""
HINT_FINAL = "Take the one that you like best, the last is not always it."
HINT_OPEN = "Once the run rests or has ended you can choose one."


def states_html(job: JobView, states: Sequence[CheckpointView]) -> str:
    """Every saved state, the newest first; empty when there is none."""
    if not states:
        return ""
    hint = HINT_FINAL if "choose" in job.can else HINT_OPEN
    rows = "".join(_state(job, state) for state in reversed(states))
    return f'{HEAD.format(hint=hint)}<div class="states">{rows}</div>'


def _state(job: JobView, state: CheckpointView) -> str:
    loss = "" if state.loss is None else f"loss {state.loss:.4g}"
    marks = {"lowest loss": state.is_best, "kept": state.is_kept}
    chips = "".join(
        f'<span class="chip chip-mark">{name}</span>' for name, is_set in marks.items() if is_set
    )
    pictures = "".join(
        f'<img alt="" width="{THUMBNAIL_PX}" src="{uri}">' for uri in _thumbnails(state.previews)
    )
    if not pictures:
        loss += " · saved without pictures"
    return (
        f'<div class="state" data-step="{state.step}"><div class="state-pictures">{pictures}</div>'
        f'<div class="state-words"><b>Step {state.step:,}</b><span>{escape(loss)}</span>{chips}'
        f'<span class="presses">{_state_buttons(job, state)}</span></div></div>'
    )


def _state_buttons(job: JobView, state: CheckpointView) -> str:
    buttons = ""
    if "choose" in job.can:
        buttons += press(
            "choose", job, "Use this one", "Draw with the model as it was here.", step=state.step
        )
    if "retry" in job.can and state.step < job.num_steps:
        buttons += press(
            "retry", job, "Go on from here", "A new run from this state.", step=state.step
        )
    return buttons


def _thumbnails(paths: Sequence[Path]) -> list[str]:
    """The pictures as data; one that a running job has cleared away meanwhile is left out."""
    found = []
    for path in paths:
        with suppress(FileNotFoundError):
            found.append(data_uri(path, 2 * THUMBNAIL_PX))
    return found


EMPTY = """
<div class="empty"><h3>Nothing is training</h3><p>Press Train both. Loss and first pictures
appear here while it works.</p></div>
"""
PARTS = ("learned", "jobs", "detail", "card", "actions", "failure", "curve", "previews", "states")
"""What ``describe_training`` fills, in this order; ``seen`` comes last."""

Seen = Mapping[str, str]
"""What the page shows already, part by part."""


def build_live(
    studio: "Studio", scratch: Path, project: gr.State, timer: gr.Timer, form: Form
) -> list[Any]:
    """Lay out the right half of the Train screen; returns what ``describe_training`` fills."""
    pressed = {"js_on_load": ACTIONS, "padding": False}
    watched = gr.State(NEWEST)
    learned = gr.HTML(elem_id="learned", padding=False)
    jobs = gr.HTML(value=EMPTY, elem_id="jobs", **pressed)
    with gr.Column(visible=False, elem_id="watched") as detail:
        card = gr.HTML(elem_id="run", padding=False)
        with gr.Row(elem_id="run-ways", equal_height=True):
            actions = gr.HTML(elem_id="actions", **pressed)
            build_report(studio, scratch, project, watched)
        failure = gr.HTML(elem_id="failure", **pressed)
        curve = gr.HTML(elem_id="loss", padding=False)
        previews = gr.Gallery(
            label="As it learns", columns=4, height="auto", object_fit="contain", buttons=[],
            interactive=False, elem_id="previews", elem_classes="thumbs",
        )  # fmt: skip
        states = gr.HTML(elem_id="states", **pressed)
    seen = gr.State({})
    outputs = [learned, jobs, detail, card, actions, failure, curve, previews, states, seen]
    wire_actions(studio, [jobs, actions, failure, states], project, watched, form)
    gr.on(
        [timer.tick, watched.change, form.queued.change],
        partial(describe_training, studio), [project, watched, seen], outputs, **SILENT,
    )  # fmt: skip
    return [*outputs, watched]


def show_training(studio: "Studio", project: int | None) -> Any:
    """Everything again, for another project or a screen that comes into sight."""
    described = describe_training(studio, project, NEWEST, {})
    updates = described if isinstance(described, tuple) else (gr.skip(),) * (len(PARTS) + 1)
    return *updates, NEWEST


@quiet_on_timer
def describe_training(
    studio: "Studio", project: int | None, watched: int | None, seen: Seen
) -> Any:
    """The state of the runs; no part is sent again that the page has ``seen``."""
    if project is None:
        return gr.skip()
    own = studio.training.jobs(project)
    job = watched_job(own, watched)
    others = [entry for entry in studio.training.queue() if entry.project_id != project]
    parts: dict[str, Any] = {
        "learned": learned_chips(studio.projects.get(project)),
        "jobs": run_list(in_order(own, others), project, job.id if job else None) if own else EMPTY,
        "detail": gr.update(visible=job is not None),
        **(describe_run(studio, job) if job else {}),
    }
    now = {name: repr(value) for name, value in parts.items()}
    if now == seen:
        return gr.skip()
    changed = [
        parts[name] if name in parts and now[name] != seen.get(name) else gr.skip()
        for name in PARTS
    ]
    return *changed, now


def describe_run(studio: "Studio", job: JobView) -> dict[str, Any]:
    """The parts that show one run."""
    states = studio.training.checkpoints(job.id)
    failure = ""
    if job.state == "failed":
        report = studio.training.failure_text(job.id)
        failure = failure_card(job, report, has_state=bool(states))
    curve = curve_svg(studio.training.losses(job.id), job.num_steps)
    if curve:
        curve = f'<div class="figure"><h3>Loss</h3><p>Lower is closer to your set.</p>{curve}</div>'
    return {
        "card": run_card(job),
        "actions": run_actions(job, has_state=bool(states)),
        "failure": failure,
        "curve": curve,
        "previews": gr.update(
            value=[str(path) for path in job.previews], visible=bool(job.previews)
        ),
        "states": states_html(job, states),
    }


def learned_chips(view: ProjectView) -> str:
    """The two that everybody needs, trained or not; of the others those that are trained."""
    needed = usual_methods()
    more = [kind for kind in PART_KINDS if kind in view.artifacts and kind not in needed]
    return f'<div class="chips">{"".join(_chip(view, kind) for kind in (*needed, *more))}</div>'


def _chip(view: ProjectView, kind: str) -> str:
    is_ready = kind in view.artifacts
    name = method_name(kind, is_imported=kind in view.imported)
    state = "succeeded" if is_ready else "none"
    return (
        f'<span class="chip chip-{state}">{name}: {"ready" if is_ready else "not trained"}</span>'
    )
