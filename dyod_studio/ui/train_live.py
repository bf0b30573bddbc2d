"""What a training run shows while it works: bar, time left, loss, pictures, log."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd

from dyod_studio.studio.views import JobView, ProjectView
from dyod_studio.ui.errors import chosen, quiet_on_timer, shown_to_user
from dyod_studio.ui.pieces import STATE_NAMES, job_card, method_name, share_done, time_left
from dyod_studio.ui.wiring import PRIVATE, SILENT

if TYPE_CHECKING:
    from dyod_studio.studio.facade import Studio

NEWEST = 0
"""Choice of the run to watch: the one that trains now, else the newest."""
MAX_POINTS = 200
MAX_CARDS = 8
EMPTY = """
<div class="empty"><h3>Nothing trained yet</h3><p>Press Train both. Loss and first pictures
appear here while it works.</p></div>
"""


def build_live(
    studio: "Studio", project: gr.State, timer: gr.Timer, changes: Sequence[gr.State]
) -> list[Any]:
    """Lay out the right half of the Train screen; returns what ``describe_training`` fills."""
    learned = gr.HTML(elem_id="learned", padding=False)
    jobs = gr.HTML(value=EMPTY, elem_id="jobs", padding=False)
    with gr.Column(visible=False) as detail:
        with gr.Row(elem_id="watch"):
            watched = gr.Dropdown(
                [("The newest run", NEWEST)], value=NEWEST, label="Look at", show_label=False,
                container=False, filterable=False, elem_id="watched",
            )  # fmt: skip
            cancel = gr.Button(
                "Cancel this run", size="sm", scale=0, min_width=130, elem_id="cancel"
            )
        curve = gr.LinePlot(
            x="step", y="loss", label="Loss (lower is closer to your set)", height=190,
            elem_id="loss", buttons=[],
        )  # fmt: skip
        previews = gr.Gallery(
            label="As it learns", columns=4, height="auto", object_fit="contain", buttons=[],
            interactive=False, elem_id="previews", elem_classes="thumbs",
        )  # fmt: skip
    seen = gr.State("")
    outputs = [learned, jobs, detail, watched, cancel, curve, previews, seen]
    inputs = [project, watched, seen]
    gr.on(
        [timer.tick, watched.input, *(change.change for change in changes)],
        partial(describe_training, studio), inputs, outputs, **SILENT,
    )  # fmt: skip
    cancel.click(partial(on_cancel, studio), [project, watched], None, **PRIVATE)
    return outputs


def show_training(studio: "Studio", project: int | None) -> Any:
    """Everything again, for another project or a screen that comes into sight."""
    return describe_training(studio, project, NEWEST, "")


@quiet_on_timer
def describe_training(studio: "Studio", project: int | None, watched: int | None, seen: str) -> Any:
    """The state of the project's runs; nothing is sent again that the page has ``seen``."""
    if project is None:
        return gr.skip()
    jobs = studio.training.jobs(project)
    view = studio.projects.get(project)
    job = watched_job(jobs, watched)
    now = repr((project, view.artifacts, jobs, job.id if job else None))
    if now == seen:
        return gr.skip()
    listed = sorted(jobs, key=in_order)
    cards = "".join(job_card(entry) for entry in listed[:MAX_CARDS])
    choices = [("The newest run", NEWEST)] + [(run_name(entry), entry.id) for entry in listed]
    return (
        learned_chips(view),
        f'<div class="jobs">{cards}</div>' if jobs else EMPTY,
        gr.update(visible=job is not None),
        gr.update(choices=choices, value=job.id if job and job.id == watched else NEWEST),
        gr.update(visible=job is not None and not job.is_final),
        shown_if_any(loss_curve(studio.training.losses(job.id) if job else [])),
        shown_if_any([str(path) for path in job.previews] if job else []),
        now,
    )


def in_order(job: JobView) -> tuple[bool, int]:
    """What trains and waits first, in its order; then what has ended, the newest first."""
    return job.is_final, -job.id if job.is_final else job.id


def watched_job(jobs: Sequence[JobView], watched: int | None) -> JobView | None:
    """The run that was asked for; else the one that trains, waits next, or ended last."""
    asked = [job for job in jobs if job.id == watched]
    running = [job for job in jobs if job.state == "running"]
    waiting = sorted((job for job in jobs if job.state == "queued"), key=lambda job: job.id)
    newest = sorted(jobs, key=lambda job: job.id, reverse=True)
    return next(iter([*asked, *running, *waiting, *newest]), None)


def run_name(job: JobView) -> str:
    return f"{method_name(job.kind)} · run {job.id} · {STATE_NAMES.get(job.state, job.state)}"


def shown_if_any(value: Sequence[str] | pd.DataFrame) -> Any:
    """An update that keeps an empty curve or gallery out of sight."""
    return gr.update(value=value, visible=len(value) > 0)


def learned_chips(view: ProjectView) -> str:
    """Which parts this project has."""
    chips = "".join(
        f'<span class="chip chip-{"succeeded" if kind in view.artifacts else "none"}">'
        f"{method_name(kind)}: {'ready' if kind in view.artifacts else 'not trained'}</span>"
        for kind in ("inversion", "vae")
    )
    return f'<div class="chips">{chips}</div>'


def loss_curve(losses: Sequence[tuple[int, float]]) -> pd.DataFrame:
    """At most MAX_POINTS points, each the mean of its share of the steps."""
    frame = pd.DataFrame(losses, columns=["step", "loss"])
    if len(frame) <= MAX_POINTS:
        return frame
    group = frame.index * MAX_POINTS // len(frame)
    return frame.groupby(group).agg({"step": "max", "loss": "mean"})


@quiet_on_timer
def describe_running(studio: "Studio", project: int | None) -> str:
    """What trains right now, for the bar on top; empty when nothing does."""
    if project is None:
        return ""
    active = [job for job in studio.training.jobs(project) if not job.is_final]
    job = watched_job(active, None)
    if job is None:
        return ""
    percent = f"{100 * share_done(job):.0f}%" if job.state == "running" else "waiting"
    words = [method_name(job.kind), percent, time_left(job.seconds_left)]
    if len(active) > 1:
        words.append(f"{len(active) - 1} more waiting")
    text = " · ".join(word for word in words if word)
    return f'<div class="running"><i></i><span>{text}</span></div>'


@shown_to_user
def on_cancel(studio: "Studio", project: int | None, watched: int | None) -> None:
    job = watched_job(studio.training.jobs(chosen(project)), watched)
    if job is not None:
        studio.training.cancel(job.id)
        gr.Info("It stops after the step it is in.")
