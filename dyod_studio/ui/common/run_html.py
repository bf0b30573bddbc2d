"""Small pieces of HTML about training runs. What comes from people, files or errors is escaped.

A button says in ``data-press`` what it means; ``presses`` hands that to the page's handlers.
"""

from collections.abc import Sequence
from html import escape

from dyod_studio.requests.part_kinds import title_of
from dyod_studio.services.views import EVALUATION, JobView

STATE_NAMES = {
    "queued": "waiting",
    "running": "training",
    "paused": "paused",
    "succeeded": "done",
    "failed": "failed",
    "cancelled": "cancelled",
}
MEASURING_NAMES = STATE_NAMES | {"running": "measuring"}
"""Of an evaluation."""
ASKED_NAMES = {
    "cancel": "Stopping after this step …",
    "pause": "Pausing: it saves its state after this step …",
    "save": "Saving its state after this step …",
    "sample": "Making pictures after this step …",
}
MEASURE_AGAIN = ("Go on measuring", "What is measured is kept; only the rest is done.")
TRAIN_AGAIN = "Train again with these settings"
ACTION_NAMES = {
    "pause": ("Pause", "Save its state and rest; nothing is lost."),
    "resume": ("Go on", "From the very step where it rests."),
    "save": ("Save now", "Keep its state as it is after this step, to come back to."),
    "sample": ("Pictures now", "Draw what it has learned so far."),
    "cancel": ("Cancel", "Stop for good. What it has saved can still be used."),
    "retry": (TRAIN_AGAIN, "A new run. It goes on from the last saved state."),
    "again": ("From the beginning", "A new run with the same settings, from step 0."),
    "edit": ("Change settings", "Fill the form with this run's settings, to change some."),
}


def method_name(kind: str, *, is_imported: bool = False) -> str:
    """Name of a kind of part or of run on the page."""
    return "Evaluation" if kind == EVALUATION else title_of(kind, is_imported=is_imported)


def state_name(job: JobView) -> str:
    """One word on what the run does now."""
    names = MEASURING_NAMES if job.kind == EVALUATION else STATE_NAMES
    return names.get(job.state, job.state)


def duration(seconds: float) -> str:
    """A length of time as a person would say it."""
    if seconds < 90:
        return f"about {max(5, 5 * round(seconds / 5)):.0f} s"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"


def time_left(seconds: float | None) -> str:
    """A wait as a person would say it; empty when it is not known."""
    if seconds is None:
        return ""
    return "a moment left" if seconds < 5 else f"{duration(seconds)} left"


def memory(megabytes: float) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 950 else f"{megabytes:.0f} MB"


def progress_bar(share: float) -> str:
    percent = 100 * min(max(share, 0.0), 1.0)
    return f'<div class="bar"><div style="width:{percent:.1f}%"></div></div>'


def share_done(job: JobView) -> float:
    if job.state == "succeeded":
        return 1.0
    return job.step / job.num_steps if job.num_steps else 0.0


def press(what: str, job: JobView, label: str, help_text: str, **values: object) -> str:
    """A button of the page's own HTML."""
    data = "".join(f' data-{name}="{escape(str(value))}"' for name, value in values.items())
    return (
        f'<button type="button" class="press press-{what}" data-press="{what}" '
        f'data-job="{job.id}"{data} title="{escape(help_text)}">{escape(label)}</button>'
    )


def chip(job: JobView) -> str:
    return f'<span class="chip chip-{escape(job.state)}">{escape(state_name(job))}</span>'


def run_list(jobs: Sequence[JobView], project: int, watched: int | None) -> str:
    """List of what trains, what waits in its order, and what has ended; a press looks at a run."""
    return f'<div class="jobs">{"".join(_run_row(job, project, watched) for job in jobs)}</div>'


def _run_row(job: JobView, project: int, watched: int | None) -> str:
    name = f"{method_name(job.kind)} · run {job.id}"
    if job.project_id == project:
        title = press("look", job, name, "Look at this run.")
    else:
        title = f'<span class="elsewhere">{escape(f"{name} of {job.project}")}</span>'
    order = ""
    if "move" in job.can and job.place is not None:
        up = press("move", job, "↑", "Earlier in the queue.", place=max(1, job.place - 1))
        down = press("move", job, "↓", "Later in the queue.", place=job.place + 1)
        order = f'<span class="order">{up}{down}</span>'
    why = f'<span class="why">{escape(job.error)}</span>' if job.error else ""
    seen = " is-watched" if job.id == watched else ""
    return (
        f'<div class="job job-{escape(job.state)}{seen}" data-job="{job.id}">{title}{why}'
        f'<span class="job-end">{order}{chip(job)}</span></div>'
    )


def run_card(job: JobView) -> str:
    """How far the run is that is looked at, and what happened on the way."""
    percent = f" · {100 * share_done(job):.0f}%" if job.state in ("running", "paused") else ""
    state = state_name(job)
    parts = [
        f'<div class="run run-{escape(job.state)}" data-run="{job.id}">',
        f'<div class="job-head"><b>{escape(method_name(job.kind))}</b>',
        f'<span class="chip chip-{escape(job.state)}">{escape(state)}{percent}</span></div>',
        progress_bar(share_done(job)),
        f'<div class="job-facts">{escape(" · ".join(_facts(job)))}</div>',
    ]
    lines = [*_origin(job), *(ASKED_NAMES[name] for name in job.asked), *job.notes]
    parts += [f'<div class="job-note">{escape(line)}</div>' for line in lines]
    return "".join([*parts, "</div>"])


def _facts(job: JobView) -> list[str]:
    counted = "pictures" if job.kind == EVALUATION else "steps"
    facts = [f"{job.step:,} of {job.num_steps:,} {counted}"] if job.num_steps else []
    if job.state == "queued" and job.place is not None:
        facts = ["next in line" if job.place == 1 else f"number {job.place} in line", *facts]
    if job.loss is not None:
        facts.append(f"loss {job.loss:.4g}")
    if job.state == "running" and job.seconds_left is not None:
        facts.append(time_left(job.seconds_left))
    if job.peak_memory_mb is not None:
        facts.append(f"memory up to {memory(job.peak_memory_mb)}")
    return facts


def _origin(job: JobView) -> list[str]:
    if job.continues_job_id is None:
        return []
    how = "Made of" if job.is_finish_only else "Goes on from"
    return [f"{how} run {job.continues_job_id} as it was after step {job.start_step}."]


def run_actions(job: JobView, *, has_state: bool) -> str:
    """A button for everything that can be asked of the run now; a failure has its own card."""
    names = [name for name in ("pause", "resume", "save", "sample", "cancel") if name in job.can]
    buttons = "".join(press(name, job, *ACTION_NAMES[name]) for name in names)
    if job.state == "succeeded" and job.kind != EVALUATION:
        buttons = press("again", job, TRAIN_AGAIN, ACTION_NAMES["again"][1])
        buttons += press("edit", job, *ACTION_NAMES["edit"])
    elif "retry" in job.can and job.state != "failed":
        buttons = _run_buttons(job, has_state=has_state)
    return f'<div class="presses">{buttons}</div>'


def _run_buttons(job: JobView, *, has_state: bool) -> str:
    if job.kind == EVALUATION:
        return press("retry", job, *MEASURE_AGAIN)
    names = ("retry", "again", "edit") if has_state else ("retry", "edit")
    return "".join(press(name, job, *ACTION_NAMES[name]) for name in names)


def failure_card(job: JobView, report: str, *, has_state: bool) -> str:
    """Why a run failed, what to do, the ways on, and a report to copy."""
    remedy = f'<p class="remedy">{escape(job.remedy)}</p>' if job.remedy else ""
    copy = press("copy", job, "Copy report", "Everything that helps to find the cause, as text.")
    lines = escape(job.log_tail or "(nothing was written)")
    return (
        f'<div class="failure" data-run="{job.id}"><b>{escape(job.error or "It failed.")}</b>'
        f'{remedy}<div class="presses">{_run_buttons(job, has_state=has_state)}{copy}</div>'
        f"<details><summary>The last lines of its log</summary><pre>{lines}</pre></details>"
        f'<textarea class="report-text" readonly hidden>{escape(report)}</textarea></div>'
    )
