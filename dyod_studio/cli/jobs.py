"""Commands for jobs: look at them, steer them, go on from what they left."""

from pathlib import Path
from typing import Annotated

import typer

from dyod_studio.bootstrap import start_worker
from dyod_studio.cli.output import Reply, table, training_progress
from dyod_studio.cli.session import (
    Assignments,
    check_writable,
    parse_assignments,
    settings_of,
    studio_of,
)
from dyod_studio.services.studio import Studio
from dyod_studio.services.views import CheckpointView, JobView

JobId = Annotated[int, typer.Argument(metavar="ID", help="Number of the job.")]
Wait = Annotated[
    bool, typer.Option("--wait", help="Stay until the job has ended and show its progress.")
]


def register(app: typer.Typer) -> None:
    """Add ``job ...`` and ``jobs``."""
    job = typer.Typer(help="Look at jobs, steer them, go on from what they left.")
    job.command("list")(list_all)
    for look in (show, checkpoints, report):
        job.command(look.__name__)(look)
    for steer in (cancel, pause, resume, save, sample, move):
        job.command(steer.__name__)(steer)
    for go_on in (retry, choose):
        job.command(go_on.__name__)(go_on)
    app.add_typer(job, name="job")
    app.command("jobs")(list_all)


def list_all(
    ctx: typer.Context,
    project: Annotated[
        str | None, typer.Argument(metavar="[PROJECT]", help="Name or number; all when left out.")
    ] = None,
) -> Reply:
    """List jobs: what runs and waits in its order, then what has ended, the newest first."""
    views = studio_of(ctx).training.jobs(project)
    if not views:
        return Reply({"jobs": []}, "There are no jobs yet.")
    titles = ("id", "project", "kind", "state", "place", "step", "loss", "")
    rows = [
        (
            view.id, view.project, view.kind, view.state, view.place or "",
            f"{view.step}/{view.num_steps}", _number(view.loss), view.error or "",
        )
        for view in views
    ]  # fmt: skip
    return Reply({"jobs": views}, table(titles, rows))


def show(ctx: typer.Context, job: JobId) -> Reply:
    """Show a job: state, progress, what went wrong and what to do, trained parts."""
    view = studio_of(ctx).training.job(job)
    return Reply(view, describe_job(view))


def cancel(ctx: typer.Context, job: JobId) -> Reply:
    """Ask a job to stop for good; a running one obeys within a step."""
    return _job_reply(studio_of(ctx).training.cancel(job))


def pause(ctx: typer.Context, job: JobId) -> Reply:
    """Ask a job to save its state and rest; `job resume` goes on from that very step."""
    return _job_reply(studio_of(ctx).training.pause(job))


def resume(ctx: typer.Context, job: JobId, wait: Wait = False) -> Reply:
    """Put a paused job back into the queue, at its old place."""
    studio = studio_of(ctx)
    return started(ctx, studio, studio.training.resume(job), wait=wait)


def save(ctx: typer.Context, job: JobId) -> Reply:
    """Ask a running job to save its state after this step; that state is kept."""
    return _job_reply(studio_of(ctx).training.save_now(job))


def sample(ctx: typer.Context, job: JobId) -> Reply:
    """Ask a running job for preview pictures after this step."""
    return _job_reply(studio_of(ctx).training.sample_now(job))


def move(
    ctx: typer.Context,
    job: JobId,
    place: Annotated[int, typer.Argument(metavar="PLACE", help="1 is next.")],
) -> Reply:
    """Give a waiting job another place in the queue."""
    return _job_reply(studio_of(ctx).training.move(job, place))


def checkpoints(ctx: typer.Context, job: JobId) -> Reply:
    """List the states that a job has saved."""
    views = studio_of(ctx).training.checkpoints(job)
    if not views:
        return Reply({"checkpoints": []}, f"Job {job} has saved no state yet.")
    rows = [(v.step, _number(v.loss), _marks(v), _folder(v)) for v in views]
    return Reply({"checkpoints": views}, table(("step", "loss", "", "pictures"), rows))


def retry(
    ctx: typer.Context,
    job: JobId,
    step: Annotated[
        int | None, typer.Option(help="Saved state to go on from; the last one when left out.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin again at step 0.")] = False,
    assignments: Assignments = None,
    wait: Wait = False,
) -> Reply:
    """Train again with the same settings, as a new job that goes on from a saved state."""
    changes = parse_assignments(assignments or [])
    studio = studio_of(ctx)
    view = studio.training.retry(job, step=step, fresh=fresh, changes=changes)
    return started(ctx, studio, view, wait=wait)


def choose(
    ctx: typer.Context,
    job: JobId,
    step: Annotated[
        int | None,
        typer.Argument(metavar="[STEP]", help="A saved state; that of the lowest loss by default."),
    ] = None,
    wait: Wait = False,
) -> Reply:
    """Make a saved state the project's trained part, without training any further."""
    studio = studio_of(ctx)
    return started(ctx, studio, studio.training.choose(job, step=step), wait=wait)


def report(
    ctx: typer.Context,
    job: JobId,
    out: Annotated[Path, typer.Option(metavar="FILE.html", help="The file to write.")],
) -> Reply:
    """Write a report of a job as one HTML file: settings, curve, pictures, log."""
    check_writable(out.parent, option="--out")
    path = studio_of(ctx).training.report(job, out)
    return Reply({"file": path}, f"Wrote {path}.")


def started(ctx: typer.Context, studio: Studio, job: JobView, *, wait: bool) -> Reply:
    """The answer of a command that has queued a job; with ``wait``, its end."""
    if not wait:
        return Reply(
            {"job": job.id, "state": job.state},
            f"Job {job.id} is {job.state}. `worker --drain` or a running studio trains it.",
        )
    _worker = start_worker(settings_of(ctx))
    with training_progress(f"Training {job.kind}") as on_progress:
        job = studio.training.wait(job.id, on_progress)
    document = {"job": job.id, "state": job.state, "error": job.error, "remedy": job.remedy}
    return Reply(document, describe_job(job), exit_code=0 if job.state == "succeeded" else 1)


def describe_job(job: JobView) -> str:
    """A job in a few lines, the most important first."""
    lines = [f"Job {job.id} ({job.kind}) is {job.state}: step {job.step} of {job.num_steps}."]
    if job.place is not None:
        lines.append(f"Place {job.place} in the queue.")
    if job.continues_job_id is not None:
        how = "Made of" if job.is_finish_only else "Goes on from"
        lines.append(f"{how} step {job.start_step} of job {job.continues_job_id}.")
    if job.asked:
        lines.append(f"Asked to {', '.join(job.asked)}; it obeys after the step it is in.")
    if job.loss is not None:
        lines.append(f"Loss {job.loss:.4f}.")
    if job.seconds_left is not None and not job.is_final:
        lines.append(f"About {job.seconds_left:.0f} s left.")
    if job.peak_memory_mb is not None:
        lines.append(f"Highest memory {job.peak_memory_mb:.0f} MB.")
    lines += [line for line in (job.error, job.remedy) if line]
    lines += job.notes
    lines += [f"Trained {a.kind}: {a.bytes} bytes, sha256 {a.sha256}." for a in job.artifacts]
    return "\n".join(lines)


def _job_reply(view: JobView) -> Reply:
    return Reply(view, describe_job(view))


def _marks(checkpoint: CheckpointView) -> str:
    marks = {"lowest loss": checkpoint.is_best, "kept": checkpoint.is_kept}
    return ", ".join(name for name, is_set in marks.items() if is_set)


def _folder(checkpoint: CheckpointView) -> str:
    return str(checkpoint.previews[0].parent) if checkpoint.previews else "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
