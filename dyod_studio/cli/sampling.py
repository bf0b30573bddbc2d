"""Commands that make pictures."""

from typing import Annotated

import typer

from dyod_studio.cli.draw_options import (
    T0,
    Guidance,
    Out,
    Prompt,
    Seed,
    Steps,
    Strength,
    Use,
    check_folder,
    draw_pictures,
    named,
)
from dyod_studio.cli.moving import (
    FPS,
    Back,
    Fps,
    Gif,
    Mp4,
    Sprite,
    check_moving,
    write_moving,
)
from dyod_studio.cli.projects import ProjectRef
from dyod_studio.cli.reply import Reply, table
from dyod_studio.cli.sample import sample
from dyod_studio.cli.session import studio_of
from dyod_studio.studio.sampling.requests import InterpolationSettings, TraversalSettings


def register(app: typer.Typer) -> None:
    """Add ``sample``, ``interpolate``, ``traverse``, ``coordinates``."""
    for command in (sample, interpolate, traverse, coordinates):
        app.command(command.__name__)(command)


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
    t0: T0 = None, seed: Seed = None, steps: Steps = 50, guidance: Guidance = None,
    prompt: Prompt = None, use: Use = None, strength: Strength = 1.0, out: Out = None,
    gif: Gif = None, mp4: Mp4 = None, sprite: Sprite = None, fps: Fps = FPS, back: Back = False,
) -> Reply:  # fmt: skip
    """Make the pictures between two pictures or seeds."""
    check_folder(out)
    wanted = check_moving(gif, mp4, sprite)
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
        use=named(use),
        strength=strength,
    )
    reply = draw_pictures(studio_of(ctx).sampling.interpolate, project, settings, out)
    return write_moving(reply, wanted, fps, is_back=back)


def traverse(
    ctx: typer.Context,
    project: ProjectRef,
    coordinate: Annotated[
        int, typer.Option(help="Rank of the coordinate; 0 tells the pictures apart most.")
    ],
    span: Annotated[float, typer.Option(help="How far to each side.")] = 3.0,
    frames: Annotated[int, typer.Option(help="How many pictures.")] = 7,
    t0: T0 = None, seed: Seed = None, steps: Steps = 50, guidance: Guidance = None,
    prompt: Prompt = None, use: Use = None, strength: Strength = 1.0, out: Out = None,
    gif: Gif = None, mp4: Mp4 = None, sprite: Sprite = None, fps: Fps = FPS, back: Back = False,
) -> Reply:  # fmt: skip
    """Move one coordinate of the code and draw what it changes."""
    check_folder(out)
    wanted = check_moving(gif, mp4, sprite)
    settings = TraversalSettings(
        coordinate=coordinate,
        span=span,
        num_frames=frames,
        t0=t0,
        seed=seed,
        num_inference_steps=steps,
        guidance_scale=guidance,
        prompt=prompt,
        use=named(use),
        strength=strength,
    )
    reply = draw_pictures(studio_of(ctx).sampling.traverse, project, settings, out)
    return write_moving(reply, wanted, fps, is_back=back)


def coordinates(ctx: typer.Context, project: ProjectRef) -> Reply:
    """List the coordinates of the initial VAE, the one that tells most apart first."""
    views = studio_of(ctx).sampling.coordinates(project)
    rows = [(view.rank, view.index, f"{view.kl:.3f}") for view in views]
    return Reply({"coordinates": views}, table(("rank", "index", "kl"), rows))
