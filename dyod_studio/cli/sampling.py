"""Commands that make pictures, list them and export them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from dyod_studio.cli import progress
from dyod_studio.cli.pictures import copy_out, describe
from dyod_studio.cli.projects import ProjectRef
from dyod_studio.cli.reply import Reply, plural, table
from dyod_studio.cli.session import check_writable, studio_of
from dyod_studio.studio.requests import InterpolationSettings, SampleSettings, TraversalSettings
from dyod_studio.studio.views import GenerationView

Out = Annotated[
    Path | None,
    typer.Option(help="Folder that gets a copy of the pictures; without it they are listed only."),
]
T0 = Annotated[
    float | None, typer.Option(help="How much may change, in [0, 1]: share of the timesteps.")
]
Seed = Annotated[int | None, typer.Option(help="The same seed makes the same picture.")]
Steps = Annotated[int, typer.Option(help="Denoiser steps of the full schedule.")]
Guidance = Annotated[float | None, typer.Option(help="How strictly the prompt is followed.")]
Prompt = Annotated[str | None, typer.Option(help="Text instead of the project's own prompt.")]


def register(app: typer.Typer) -> None:
    """Add ``sample``, ``interpolate``, ``traverse``, ``coordinates``, ``gallery``, ``export``."""
    for command in (sample, interpolate, traverse, coordinates, gallery, export):
        app.command(command.__name__)(command)


def sample(
    ctx: typer.Context,
    project: ProjectRef,
    start: Annotated[
        Literal["prompt", "distribution", "image"],
        typer.Option("--from", help="What the reverse process starts from."),
    ],
    image: Annotated[Path | None, typer.Option(help="Sketch or picture to start from.")] = None,
    t0: T0 = None,
    num: Annotated[int, typer.Option(help="How many pictures.")] = 4,
    seed: Seed = None,
    steps: Steps = 50,
    guidance: Guidance = None,
    prompt: Prompt = None,
    out: Out = None,
) -> Reply:
    """Make new pictures from the prompt, from the learned distribution, or from a picture."""
    _check_folder(out)
    settings = SampleSettings(
        start=start,
        image=image,
        num_images=num,
        t0=t0,
        seed=seed,
        num_inference_steps=steps,
        guidance_scale=guidance,
        prompt=prompt,
    )
    with progress.sampling("Drawing") as on_progress:
        views = studio_of(ctx).sampling.sample(project, settings, on_progress)
    return _deliver(views, out)


def interpolate(
    ctx: typer.Context,
    project: ProjectRef,
    a: Annotated[str, typer.Option("--a", metavar="FILE|seed:N", help="One end.")],
    b: Annotated[str, typer.Option("--b", metavar="FILE|seed:N", help="The other end.")],
    frames: Annotated[int, typer.Option(help="How many pictures, ends included.")] = 9,
    free_noise: Annotated[
        bool, typer.Option("--free-noise", help="Draw new noise for each frame.")
    ] = False,
    spherical: Annotated[
        bool, typer.Option("--spherical", help="Move along the sphere, not the line.")
    ] = False,
    t0: T0 = None,
    seed: Seed = None,
    steps: Steps = 50,
    guidance: Guidance = None,
    prompt: Prompt = None,
    out: Out = None,
) -> Reply:
    """Make the pictures between two pictures or seeds."""
    _check_folder(out)
    settings = InterpolationSettings(
        a=a,
        b=b,
        num_frames=frames,
        free_noise=free_noise,
        is_spherical=spherical,
        t0=t0,
        seed=seed,
        num_inference_steps=steps,
        guidance_scale=guidance,
        prompt=prompt,
    )
    with progress.sampling("Drawing") as on_progress:
        views = studio_of(ctx).sampling.interpolate(project, settings, on_progress)
    return _deliver(views, out)


def traverse(
    ctx: typer.Context,
    project: ProjectRef,
    coordinate: Annotated[
        int, typer.Option(help="Rank of the coordinate; 0 tells the pictures apart most.")
    ],
    span: Annotated[float, typer.Option(help="How far to each side.")] = 3.0,
    frames: Annotated[int, typer.Option(help="How many pictures.")] = 7,
    t0: T0 = None,
    seed: Seed = None,
    steps: Steps = 50,
    guidance: Guidance = None,
    prompt: Prompt = None,
    out: Out = None,
) -> Reply:
    """Move one coordinate of the code and draw what it changes."""
    _check_folder(out)
    settings = TraversalSettings(
        coordinate=coordinate,
        span=span,
        num_frames=frames,
        t0=t0,
        seed=seed,
        num_inference_steps=steps,
        guidance_scale=guidance,
        prompt=prompt,
    )
    with progress.sampling("Drawing") as on_progress:
        views = studio_of(ctx).sampling.traverse(project, settings, on_progress)
    return _deliver(views, out)


def coordinates(ctx: typer.Context, project: ProjectRef) -> Reply:
    """List the coordinates of the initial VAE, the one that tells most apart first."""
    views = studio_of(ctx).sampling.coordinates(project)
    rows = [(view.rank, view.index, f"{view.kl:.3f}") for view in views]
    return Reply({"coordinates": views}, table(("rank", "index", "kl"), rows))


def gallery(
    ctx: typer.Context,
    project: ProjectRef,
    offset: Annotated[int, typer.Option(min=0, help="How many of the newest to pass over.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="How many to list at most.")] = 1000,
) -> Reply:
    """List everything that was made, the newest first."""
    gallery = studio_of(ctx).gallery
    count = gallery.count(project)
    views = gallery.page(project, offset, limit)
    rows = [(v.id, v.kind, v.seed, "yes" if v.is_favorite else "", v.file) for v in views]
    text = table(("id", "kind", "seed", "favourite", "file"), rows) if rows else ""
    told = f"{len(views)} of {plural(count, 'picture')}."
    document = {"count": count, "images": [describe(view, view.file) for view in views]}
    return Reply(document, f"{text}\n{told}".strip())


def export(
    ctx: typer.Context,
    project: ProjectRef,
    what: Annotated[
        Literal["gallery", "artifacts", "project"], typer.Option(help="What the ZIP holds.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.zip", help="The ZIP to write.")],
) -> Reply:
    """Write the gallery, the trained parts or the whole project to one ZIP file."""
    check_writable(out.parent, option="--out")
    report = studio_of(ctx).exports.export(project, what, out)
    files = plural(report.num_files, "file")
    return Reply(report, f"Wrote {files}, {report.bytes} bytes, to {report.file}.")


def _check_folder(out: Path | None) -> None:
    if out is not None:
        check_writable(out, option="--out")


def _deliver(views: Sequence[GenerationView], out: Path | None) -> Reply:
    files = [view.file for view in views] if out is None else copy_out(views, out)
    images = [describe(view, file) for view, file in zip(views, files, strict=True)]
    return Reply({"images": images}, "\n".join(str(file) for file in files))
