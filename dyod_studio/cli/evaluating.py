"""The command that measures: how close a project's pictures are to its set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dyod_studio.bootstrap import start_worker
from dyod_studio.cli.output import Reply, table, training_progress
from dyod_studio.cli.projects import ProjectRef
from dyod_studio.cli.sampling import CodesFrom, Novelty, SamplerName, StepSpacing
from dyod_studio.cli.session import check_writable, settings_of, studio_of
from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.sampling import DEFAULT_NOVELTY, DEFAULT_SAMPLER, DEFAULT_STEPS
from dyod_studio.services.evaluation.report import figure_text
from dyod_studio.services.evaluation.views import (
    METRICS,
    SWEEPS,
    EvaluationSettings,
    EvaluationView,
    sweep_named,
)
from dyod_studio.services.studio import Studio

Sweep = Annotated[str, typer.Option(help=f"What is varied: {', '.join(SWEEPS)}.")]
Values = Annotated[
    str, typer.Option(metavar="V,V,...", help="Its values; the usual ones when left out.")
]
Metrics = Annotated[
    str, typer.Option(metavar="M,M,...", help=f"Figures: {', '.join(METRICS)}; all by default.")
]
Extractors = Annotated[
    list[str] | None,
    typer.Option(
        "--extractor",
        metavar="NAME",
        help="What pictures are compared with: base (the base model's own CLIP), base-quarters "
        "(the same on each quarter, which sees blur), inception, or the folder or hub id of a CLIP "
        "or DINOv2; repeat for more.",
    ),
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the report.")]
Num = Annotated[int, typer.Option(help="Pictures at each point.")]
Text = Annotated[str, typer.Option(help="What pictures should show, for CLIP-T.")]
T0 = Annotated[float | None, typer.Option(help="Where another setting is varied.")]
Guidance = Annotated[float | None, typer.Option(help="Guidance scale.")]
Steps = Annotated[int, typer.Option(help="Denoiser steps of the full schedule.")]
Seed = Annotated[int, typer.Option(help="The first seed.")]
Baselines = Annotated[
    bool, typer.Option(help="Measure the prompt alone and the shape model alone as well.")
]
Use = Annotated[
    list[str] | None, typer.Option(metavar="KIND", help="A trained part to draw with; repeat.")
]
Compare = Annotated[
    str, typer.Option(metavar="KIND", help="Kind of the parts in a sweep of artifacts.")
]
OfJob = Annotated[
    int | None, typer.Option(help="Write the report of this evaluation; measure nothing.")
]


def register(app: typer.Typer) -> None:
    """Add ``evaluate``."""
    app.command("evaluate")(evaluate)


def evaluate(
    ctx: typer.Context,
    project: ProjectRef,
    out: Out,
    sweep: Sweep = "t0",
    values: Values = "",
    metrics: Metrics = "",
    num: Num = 100, extractors: Extractors = None, text: Text = "",
    t0: T0 = None, guidance: Guidance = None, steps: Steps = DEFAULT_STEPS,
    codes: CodesFrom = "near", novelty: Novelty = DEFAULT_NOVELTY,
    spacing: StepSpacing = "trailing", sampler: SamplerName = DEFAULT_SAMPLER, seed: Seed = 0,
    baselines: Baselines = True, use: Use = None, compare: Compare = "inversion",
    job: OfJob = None,
) -> Reply:  # fmt: skip
    """Measure how close the pictures are to the set, and write a report: HTML, PDF and JSON."""
    check_writable(out, option="--out")
    studio = studio_of(ctx)
    if job is not None:
        return _written_again(studio, project, job, out)
    settings = EvaluationSettings(
        sweep=sweep_named(sweep),
        values=tuple(_number(value) for value in _listed(values)),
        metrics=_listed(metrics) or tuple(METRICS), num=num, text=text, t0=t0, seed=seed,
        extractors=tuple(extractors or ("base",)), guidance_scale=guidance, use=use,
        num_inference_steps=steps, has_baselines=baselines, compare=compare,
        codes=codes, novelty=novelty, timestep_spacing=spacing,
        sampler=sampler,
    )  # fmt: skip
    queued = studio.evaluation.start(project, settings)
    _worker = start_worker(settings_of(ctx))
    with training_progress("Measuring") as on_progress:
        view = studio.evaluation.wait(queued.id, on_progress)
    return _answer(view, studio.evaluation.report(queued.id, out) if view.points else [])


def describe(view: EvaluationView) -> str:
    """The summary, and a table of figures for each extractor."""
    state = "" if view.job.state == "succeeded" else f"Job {view.job.id} is {view.job.state}."
    lines = [*view.summary, state, view.job.error or "", view.job.remedy or ""]
    for extractor in view.extractors:
        names = [n for n in view.metrics if any(n in p.figures[extractor] for p in view.points)]
        rows = [
            (
                point.name,
                *(figure_text(point.figures[extractor].get(name)) for name in names),
                point.calls,
                f"{point.seconds:.2f}",
            )
            for point in view.points
        ]
        titles = ("", *(METRICS[name].title for name in names), "U-Net calls", "s a picture")
        lines += [f"Measured with {extractor}:", table(titles, rows)]
    return "\n".join(line for line in (*lines, *view.notes) if line)


def _written_again(studio: Studio, project: str, job: int, out: Path) -> Reply:
    view = studio.evaluation.get(job)
    if view.job.project_id != studio.projects.get(project).id:
        raise InvalidInputError(f"Evaluation {job} belongs to {view.job.project!r}.")
    return _answer(view, studio.evaluation.report(job, out))


def _answer(view: EvaluationView, files: Sequence[Path]) -> Reply:
    document = {
        "job": view.job.id,
        "state": view.job.state,
        "error": view.job.error,
        "summary": view.summary,
        "advice": view.advice,
        "notes": view.notes,
        "files": files,
    }
    lines = [describe(view), *(f"Wrote {path}." for path in files)]
    return Reply(document, "\n".join(lines), exit_code=0 if view.job.state == "succeeded" else 1)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise InvalidInputError(
            f"--values must be numbers with commas between them, got {text!r}."
        ) from exc
