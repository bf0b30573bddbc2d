"""Commands for training: methods, training itself, its plan, and the worker."""

from typing import Annotated

import typer

from dyod_studio.bootstrap import run_worker
from dyod_studio.cli.jobs import Wait, started
from dyod_studio.cli.output import Reply, plural, table
from dyod_studio.cli.projects import ProjectRef
from dyod_studio.cli.session import Assignments, parse_assignments, settings_of, studio_of
from dyod_studio.errors import InvalidInputError
from dyod_studio.services.training.methods import method_summaries
from dyod_studio.services.views import MethodView, PlanView, RecommendationView

Method = Annotated[
    str, typer.Argument(metavar="METHOD", help=f"One of {', '.join(method_summaries())}.")
]


def register(app: typer.Typer) -> None:
    """Add ``train``, ``methods`` and ``worker``."""
    app.command("train")(train)
    app.command("methods")(methods)
    app.command("worker")(worker)


def train(
    ctx: typer.Context,
    project: ProjectRef,
    method: Method,
    assignments: Assignments = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what memory and time it will take; train nothing.")
    ] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="With --plan: measure again, by a few real steps.")
    ] = False,
    wait: Wait = False,
) -> Reply:
    """Queue a training job; with --wait, see it through; with --plan, only say what it takes."""
    values, method = parse_assignments(assignments or []), method.replace("_", "-")
    if measure and not plan:
        raise InvalidInputError("--measure belongs to --plan: give both, or leave it out.")
    if plan and wait:
        raise InvalidInputError("--plan trains nothing, so there is nothing to --wait for.")
    studio = studio_of(ctx)
    if not plan:
        return started(ctx, studio, studio.training.start(project, method, values), wait=wait)
    view = studio.training.plan(project, method, values, measure=measure)
    if view.is_estimate and not studio.training.is_busy():
        view = studio.training.plan(project, method, values, measure=True)
    return Reply(view, describe_plan(view))


def methods(
    ctx: typer.Context,
    project: Annotated[
        str | None, typer.Option("--for", help="Say what this project would best train, and why.")
    ] = None,
) -> Reply:
    """List what can be trained, with every setting and its default; or what suits a project."""
    studio = studio_of(ctx)
    if project is not None:
        found = studio.training.recommend(project)
        return Reply(found, describe_recommendation(found))
    views = studio.training.methods()
    return Reply({"methods": views}, "\n\n".join(_describe_method(view) for view in views))


def worker(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Run one job at most, then end.")] = False,
    drain: Annotated[bool, typer.Option("--drain", help="End when the queue is empty.")] = False,
) -> Reply:
    """Run queued jobs, one after the other."""
    if once and drain:
        raise InvalidInputError("--once runs one job and --drain all of them: give only one.")
    num_jobs = run_worker(settings_of(ctx), once=once, drain=drain)
    return Reply({"jobs": num_jobs}, f"Ran {plural(num_jobs, 'job')}.")


def describe_plan(plan: PlanView) -> str:
    """The plan in a few sentences."""
    how = "Estimated, not yet measured here" if plan.is_estimate else "Measured on this machine"
    lines = [
        f"{plan.method} on {plan.device}: about {plan.peak_memory_mb:.0f} MB "
        f"of {plan.free_mb:.0f} MB free, about {plan.seconds:.0f} s. {how}.",
        *plan.measures,
        "It fits." if plan.fits else "It does not fit.",
        plan.advice,
    ]
    return "\n".join(line for line in lines if line)


def describe_recommendation(found: RecommendationView) -> str:
    """Sentence of what to train, in its order, and the reasons."""
    advice = f"Train {', then '.join(found.methods)}." if found.methods else "Train nothing yet."
    return "\n".join([advice, *found.reasons])


def _describe_method(method: MethodView) -> str:
    mark = " (for comparison)" if method.is_baseline else ""
    rows = [(f"  {f.name}", f.default, f.help) for f in method.fields]
    lines = [
        f"{method.name}{mark}: {method.summary}",
        f"  For {method.num_pictures} pictures. {method.cost}",
        table(("  setting", "default", ""), rows),
    ]
    return "\n".join(lines)
