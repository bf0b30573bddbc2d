"""Commands that explore: what lies near a picture, places, and what the traits are called."""

from typing import Annotated

import typer

from dyod_studio.cli.output import Reply, sampling_progress, table
from dyod_studio.cli.projects import ProjectRef
from dyod_studio.cli.sampling import (
    T0,
    CodesFrom,
    Guidance,
    Novelty,
    Out,
    Prompt,
    SamplerName,
    Seed,
    Steps,
    StepSpacing,
    Strength,
    Use,
    check_folder,
    draw_pictures,
    named,
)
from dyod_studio.cli.session import studio_of
from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.sampling import (
    DEFAULT_NOVELTY,
    DEFAULT_SAMPLER,
    DEFAULT_STEPS,
    PointRequest,
)

ORIGIN = "average|seed:N|set:ID|made:ID"
Origin = Annotated[str, typer.Option("--from", metavar=ORIGIN, help="Where the traits begin.")]
Moves = Annotated[
    list[str] | None,
    typer.Option("--move", metavar="RANK=VALUE", help="Move a trait, in deviations; repeatable."),
]


def register(app: typer.Typer) -> None:
    """Add ``near``, ``place``, ``places``, ``traits``."""
    for command in (near, place, places, traits):
        app.command(command.__name__)(command)


def near(
    ctx: typer.Context,
    project: ProjectRef,
    origin: Annotated[str, typer.Option("--to", metavar="FILE|seed:N|set:ID|made:ID")],
    spread: Annotated[
        float, typer.Option(help="How far from it, in [0, 1]: 0 keeps its shape.")
    ] = 0.35,
    num: Annotated[int, typer.Option(help="How many pictures.")] = 4,
    t0: T0 = None, seed: Seed = None, steps: Steps = DEFAULT_STEPS, guidance: Guidance = None,
    prompt: Prompt = None, use: Use = None, strength: Strength = 1.0,
    codes: CodesFrom = "near", novelty: Novelty = DEFAULT_NOVELTY,
    spacing: StepSpacing = "trailing", sampler: SamplerName = DEFAULT_SAMPLER, out: Out = None,
) -> Reply:  # fmt: skip
    """Make new pictures that are like one."""
    check_folder(out)
    request = PointRequest.near(
        origin, num, spread, t0=t0, seed=seed, num_inference_steps=steps,
        guidance_scale=guidance, prompt=prompt, use=named(use), adapter_strength=strength,
        codes=codes, novelty=novelty, timestep_spacing=spacing, sampler=sampler,
    )  # fmt: skip
    return draw_pictures(studio_of(ctx).explore.near, project, request, out)


def place(
    ctx: typer.Context,
    project: ProjectRef,
    name: Annotated[str, typer.Argument(help="What to save the place as.")],
    origin: Origin = "average",
    move: Moves = None,
    t0: T0 = None, seed: Seed = None, steps: Steps = DEFAULT_STEPS, guidance: Guidance = None,
    prompt: Prompt = None, use: Use = None, strength: Strength = 1.0,
    codes: CodesFrom = "near", novelty: Novelty = DEFAULT_NOVELTY,
    spacing: StepSpacing = "trailing", sampler: SamplerName = DEFAULT_SAMPLER,
) -> Reply:  # fmt: skip
    """Draw a place among the learned shapes and save it under a name."""
    point = PointRequest.at(
        origin, moves_in(move or []), t0=t0, seed=seed, num_inference_steps=steps,
        guidance_scale=guidance, prompt=prompt, use=named(use), adapter_strength=strength,
        codes=codes, novelty=novelty, timestep_spacing=spacing, sampler=sampler,
    )  # fmt: skip
    with sampling_progress("Drawing") as on_progress:
        view = studio_of(ctx).bookmarks.save(project, name, point, on_progress)
    return Reply(view, f"Saved {view.name!r}; its picture is a favourite of the gallery.")


def places(
    ctx: typer.Context,
    project: ProjectRef,
    forget: Annotated[int | None, typer.Option(help="Forget the place of this number.")] = None,
) -> Reply:
    """List the saved places, the newest first."""
    studio = studio_of(ctx)
    if forget is not None:
        studio.bookmarks.delete(project, forget)
    views = studio.bookmarks.all(project)
    rows = [
        (view.id, view.name, view.point.origin, _format_moves(view.point.moved)) for view in views
    ]
    return Reply({"places": views}, table(("id", "name", "from", "moved"), rows))


def traits(
    ctx: typer.Context,
    project: ProjectRef,
    name: Annotated[
        list[str] | None, typer.Option(metavar="RANK=NAME", help="Call a trait something.")
    ] = None,
) -> Reply:
    """List what the shape model tells apart, the most telling first, and name it."""
    studio = studio_of(ctx)
    for pair in name or []:
        rank, _, called = pair.partition("=")
        studio.bookmarks.name_trait(project, _rank(rank, pair), called)
    views = studio.bookmarks.traits(project)
    rows = [(view.rank, f"{view.kl:.3f}", view.name) for view in views]
    return Reply({"traits": views}, table(("rank", "kl", "name"), rows))


def moves_in(pairs: list[str]) -> dict[int, float]:
    """``["0=1.5", "3=-2"]`` as ranks and values."""
    moves = {}
    for pair in pairs:
        rank, _, value = pair.partition("=")
        try:
            moves[_rank(rank, pair)] = float(value)
        except ValueError as exc:
            raise InvalidInputError(f"--move needs RANK=VALUE, got {pair!r}.") from exc
    return moves


def _rank(text: str, pair: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        raise InvalidInputError(f"A trait is named by its rank, such as 0=..., got {pair!r}.")
    return int(text)


def _format_moves(moved: dict[int, float]) -> str:
    return ", ".join(f"{rank}={value:g}" for rank, value in moved.items())
