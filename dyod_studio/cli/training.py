"""Commands for training: methods, jobs and the worker."""

from collections.abc import Sequence
from typing import Annotated

import typer

from dyod_studio.bootstrap import run_worker, start_worker
from dyod_studio.cli import progress
from dyod_studio.cli.projects import ProjectRef
from dyod_studio.cli.reply import Reply, plural, table
from dyod_studio.cli.session import settings_of, studio_of
from dyod_studio.errors import InvalidInputError
from dyod_studio.studio.views import JobView, MethodView

JobId = Annotated[int, typer.Argument(metavar="ID", help="Number of the job.")]


def register(app: typer.Typer) -> None:
    """Add ``train``, ``methods``, ``jobs``, ``job ...`` and ``worker``."""
    app.command("train")(train)
    app.command("methods")(methods)
    app.command("jobs")(jobs)
    job = typer.Typer(help="Look at a job or stop it.")
    job.command("show")(show)
    job.command("cancel")(cancel)
    app.add_typer(job, name="job")
    app.command("worker")(worker)


def train(
    ctx: typer.Context,
    project: ProjectRef,
    method: Annotated[str, typer.Argument(metavar="METHOD", help="inversion or vae.")],
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the method; repeatable."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until the job has ended and show its progress.")
    ] = False,
) -> Reply:
    """Queue a training job; with --wait, see it through."""
    values = parse_assignments(assignments or [])
    studio = studio_of(ctx)
    job = studio.training.start(project, method, values)
    if not wait:
        return Reply(
            {"job": job.id, "state": job.state},
            f"Job {job.id} is {job.state}. `worker --once` or a running studio trains it.",
        )
    _worker = start_worker(settings_of(ctx))
    with progress.training(f"Training {method}") as on_progress:
        job = studio.training.wait(job.id, on_progress)
    document = {"job": job.id, "state": job.state, "error": job.error}
    return Reply(document, _describe(job), exit_code=0 if job.state == "succeeded" else 1)


def parse_assignments(assignments: Sequence[str]) -> dict[str, object]:
    """``["steps=200"]`` as ``{"steps": "200"}``; the method's config reads the values.

    Raises:
        InvalidInputError: an entry has no ``=`` or names nothing, or a key comes twice.
    """
    values: dict[str, object] = {}
    for entry in assignments:
        key, equals, value = entry.partition("=")
        if not equals or not key.strip():
            raise InvalidInputError(f"--set takes key=value, got {entry!r}.")
        if key.strip() in values:
            raise InvalidInputError(f"--set gives {key.strip()!r} twice.")
        values[key.strip()] = value.strip()
    return values


def methods(ctx: typer.Context) -> Reply:
    """List what can be trained, with every setting and its default."""
    views = studio_of(ctx).training.methods()
    return Reply({"methods": views}, "\n\n".join(_describe_method(view) for view in views))


def jobs(ctx: typer.Context, project: ProjectRef) -> Reply:
    """List the jobs of a project."""
    views = studio_of(ctx).training.jobs(project)
    if not views:
        return Reply({"jobs": []}, "There are no jobs yet.")
    rows = [
        (j.id, j.kind, j.state, f"{j.step}/{j.num_steps}", _number(j.loss), j.error or "")
        for j in views
    ]
    return Reply({"jobs": views}, table(("id", "kind", "state", "step", "loss", ""), rows))


def show(ctx: typer.Context, job: JobId) -> Reply:
    """Show a job: state, progress, error, trained parts."""
    view = studio_of(ctx).training.job(job)
    return Reply(view, _describe(view))


def cancel(ctx: typer.Context, job: JobId) -> Reply:
    """Ask a job to stop; a running one obeys within a step."""
    view = studio_of(ctx).training.cancel(job)
    return Reply(view, _describe(view))


def worker(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="End when the queue is empty.")] = False,
) -> Reply:
    """Run queued jobs, one after the other."""
    num_jobs = run_worker(settings_of(ctx), once=once)
    return Reply({"jobs": num_jobs}, f"Ran {plural(num_jobs, 'job')}.")


def _describe(job: JobView) -> str:
    lines = [f"Job {job.id} ({job.kind}) is {job.state}: step {job.step} of {job.num_steps}."]
    if job.loss is not None:
        lines.append(f"Loss {job.loss:.4f}.")
    if job.seconds_left is not None and not job.is_final:
        lines.append(f"About {job.seconds_left:.0f} s left.")
    if job.error:
        lines.append(job.error)
    lines += [f"Trained {a.kind}: {a.bytes} bytes, sha256 {a.sha256}." for a in job.artifacts]
    return "\n".join(lines)


def _describe_method(method: MethodView) -> str:
    rows = [(f"  {f.name}", f.default, f.help) for f in method.fields]
    return f"{method.name}: {method.summary}\n" + table(("  setting", "default", ""), rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
