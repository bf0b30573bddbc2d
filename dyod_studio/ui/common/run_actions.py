"""The buttons of a training run: what each asks of the studio."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.services.views import JobView
from dyod_studio.ui.common.handlers import PRIVATE, SILENT, chosen, shown_to_user

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

NEWEST = 0
"""Choice of the run to look at: the one that trains now, else the newest."""
MAX_ENDED = 12


def in_order(own: Sequence[JobView], others: Iterable[JobView]) -> list[JobView]:
    """Runs in order: what trains, what waits in all projects, then what has ended here."""
    open_jobs = [job for job in (*own, *others) if not job.is_final]
    open_jobs.sort(key=lambda job: (job.state != "running", job.place or 0, job.id))
    ended = sorted((job for job in own if job.is_final), key=lambda job: -job.id)
    return [*open_jobs, *ended[:MAX_ENDED]]


def watched_job(jobs: Sequence[JobView], watched: int | None) -> JobView | None:
    """The run that was asked for; else the one that trains, waits next, rests, or ended last."""
    asked = [job for job in jobs if job.id == watched]
    running = [job for job in jobs if job.state == "running"]
    waiting = sorted(
        (job for job in jobs if job.state in ("queued", "paused")),
        key=lambda job: (job.state == "paused", job.place or 0, job.id),
    )
    newest = sorted(jobs, key=lambda job: job.id, reverse=True)
    return next(iter([*asked, *running, *waiting, *newest]), None)


ACTIONS = """
element.addEventListener('click', event => {
  const button = event.target.closest('[data-press]');
  if (!button) return;
  const press = button.dataset.press;
  if (press !== 'copy') {
    trigger(press === 'edit' ? 'edit' : 'select', {values: {...button.dataset}});
    return;
  }
  const report = element.querySelector('.report-text');
  report.hidden = false;
  report.select();
  const copied = document.execCommand('copy');
  report.hidden = copied;
  button.textContent = copied ? 'Copied' : 'Select the text and copy it';
});
"""
"""Runs in the browser: hands on which button was pressed. Copying needs no server, and this way
of doing it works where the page is not served over https."""
FETCH = "() => document.querySelector('#report-file').click()"

CONFIRMATIONS = {
    "pause": "It saves its state after the step it is in, and rests.",
    "resume": "It goes on from the step where it rested.",
    "save": "Its state after this step will be kept.",
    "sample": "Pictures come after this step.",
    "cancel": "It stops after the step it is in.",
    "retry": "A new run with the same settings is in the queue.",
    "again": "A new run with the same settings is in the queue.",
    "choose": "In a moment the studio draws with this state.",
}


class Form(NamedTuple):
    """The form that starts a run with settings of its own.

    ``queued`` counts what this page has queued; ``proposed`` holds the settings to begin with.
    """

    drawer: gr.Accordion
    method: gr.Radio
    proposed: gr.State
    queued: gr.State


def wire_actions(
    studio: "Studio",
    sources: Sequence[gr.HTML],
    project: gr.State,
    watched: gr.State,
    form: Form,
) -> None:
    """Connect every piece of HTML that holds buttons."""
    queued = form.queued

    def on_select(
        project: int | None, watched: int, queued: int, event: gr.EventData
    ) -> tuple[int, int]:
        return on_action(studio, project, watched, queued, event.values)

    def on_edited(event: gr.EventData) -> tuple[Any, ...]:
        return on_edit(studio, event.values)

    for source in sources:
        source.select(on_select, [project, watched, queued], [watched, queued], **SILENT)
        source.edit(on_edited, None, [form.proposed, form.method, form.drawer], **SILENT)


@shown_to_user
def on_action(
    studio: "Studio", project: int | None, watched: int, queued: int, values: dict[str, str]
) -> tuple[int, int]:
    """Do what the button says; returns the run to look at, and a count that wakes the page.

    A run that was asked for something stays in sight, whatever trains next.
    """
    chosen(project)
    what, job_id = values["press"], int(values["job"])
    if what == "look":
        return job_id, queued
    job = actions(studio)[what](job_id, values)
    if what in CONFIRMATIONS:
        gr.Info(CONFIRMATIONS[what])
    return (watched if what == "move" else job.id), queued + 1


@shown_to_user
def on_edit(studio: "Studio", values: dict[str, str]) -> tuple[Any, ...]:
    """Open the form with the settings of a run in it."""
    job = studio.training.job(int(values["job"]))
    proposed = {"method": job.kind, "settings": dict(job.settings)}
    return proposed, job.kind, gr.update(open=True)


def actions(studio: "Studio") -> dict[str, Callable[[int, dict[str, str]], JobView]]:
    """Function that each button calls."""
    training = studio.training
    return {
        "pause": lambda job, values: training.pause(job),
        "resume": lambda job, values: training.resume(job),
        "save": lambda job, values: training.save_now(job),
        "sample": lambda job, values: training.sample_now(job),
        "cancel": lambda job, values: training.cancel(job),
        "move": lambda job, values: training.move(job, int(values["place"])),
        "again": lambda job, values: training.retry(job, fresh=True),
        "retry": lambda job, values: training.retry(job, step=step_in(values)),
        "choose": lambda job, values: training.choose(job, step=step_in(values)),
    }


def step_in(values: dict[str, str]) -> int | None:
    return int(values["step"]) if "step" in values else None


def build_report(
    studio: "Studio", scratch: Path, project: gr.State, watched: gr.State
) -> gr.DownloadButton:
    """A button that writes the report of the run and at once hands it to the browser."""
    ask = gr.Button("Report", size="sm", scale=0, min_width=90, elem_id="report")
    file = gr.DownloadButton(elem_id="report-file")
    ask.click(partial(on_report, studio, scratch), [project, watched], file, **PRIVATE).success(
        None, None, None, js=FETCH
    )
    return file


@shown_to_user
def on_report(studio: "Studio", scratch: Path, project: int | None, watched: int) -> Any:
    """Write the report of the run that is looked at, under a name that says which."""
    job = watched_job(studio.training.jobs(chosen(project)), watched)
    if job is None:
        return gr.skip()
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=scratch, prefix="report-"))
    out = studio.training.report(job.id, folder / f"run-{job.id}-{job.kind}.html")
    return gr.update(value=str(out))
