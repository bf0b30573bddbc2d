"""The command ``sample``: new pictures, a region of one, or a grid of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from dyod_studio.cli.progress import sampling_progress
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
from dyod_studio.cli.pictures import copy_out, describe
from dyod_studio.cli.projects import ProjectRef
from dyod_studio.cli.reply import Reply
from dyod_studio.cli.session import studio_of
from dyod_studio.errors import InvalidInputError
from dyod_studio.studio.sampling.grids import Grid, read_axis
from dyod_studio.studio.sampling.requests import SampleSettings
from dyod_studio.studio.sampling.sheets import write_sheet

Start = Annotated[
    Literal["prompt", "distribution", "image"],
    typer.Option("--from", help="What the reverse process starts from."),
]
Conditions = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="A picture that an anl draws after; repeat for more, which take turns.",
    ),
]
ConditionText = Annotated[str | None, typer.Option(help="Words that an anl draws after.")]
MaskRate = Annotated[
    float,
    typer.Option(help="How freely condition pictures are read, in [0, 1): 0 sees all of them."),
]
TextWeight = Annotated[
    float, typer.Option(help="Share of the words where there are condition pictures too.")
]
Region = Annotated[
    Path | None,
    typer.Option(
        metavar="MASK.png",
        help="Draw only this part of --image again: a picture of the same shape, bright there.",
    ),
]
GridAxis = Annotated[
    str | None,
    typer.Option(
        metavar="AXIS=V,V [AXIS=V,V]",
        help="One picture for each value of one or two of t0, mask-rate, guidance, seed, parts, "
        "and a contact sheet of them; needs --out.",
    ),
]
SecondAxis = Annotated[
    list[str] | None,
    typer.Argument(metavar="[AXIS=V,V]", help="The second axis of --grid.", show_default=False),
]


def sample(
    ctx: typer.Context, project: ProjectRef, start: Start, axes: SecondAxis = None,
    image: Annotated[Path | None, typer.Option(help="Sketch or picture to start from.")] = None,
    region: Region = None, t0: T0 = None,
    num: Annotated[int, typer.Option(help="How many pictures.")] = 4,
    seed: Seed = None, steps: Steps = 50, guidance: Guidance = None, prompt: Prompt = None,
    use: Use = None, strength: Strength = 1.0, condition: Conditions = None,
    condition_text: ConditionText = None, mask_rate: MaskRate = 0.0, text_weight: TextWeight = 0.5,
    grid: GridAxis = None, out: Out = None,
) -> Reply:  # fmt: skip
    """Make new pictures from the prompt, from the learned distribution, or from a picture."""
    check_folder(out)
    settings = SampleSettings(
        start=start, image=image, region=region, num_images=num, t0=t0, seed=seed,
        num_inference_steps=steps, guidance_scale=guidance, prompt=prompt, use=named(use),
        strength=strength, conditions=tuple(condition or ()), condition_text=condition_text,
        mask_rate=mask_rate, text_weight=text_weight,
    )  # fmt: skip
    wanted = _grid(settings, grid, axes or ())
    if wanted is None:
        return draw_pictures(studio_of(ctx).sampling.sample, project, settings, out)
    if out is None:
        raise InvalidInputError("--grid writes a contact sheet: say where with --out FOLDER.")
    return _draw_grid(ctx, project, wanted, out)


def _grid(settings: SampleSettings, first: str | None, others: Sequence[str]) -> Grid | None:
    """The grid that was asked for, if one was."""
    if first is None:
        if others:
            raise InvalidInputError(f"Nothing is known of {others[0]!r}: axes follow --grid.")
        return None
    if len(others) > 1:
        raise InvalidInputError(f"A grid has one axis or two, got {1 + len(others)}.")
    return Grid(settings, read_axis(first), *(read_axis(text) for text in others))


def _draw_grid(ctx: typer.Context, project: str, grid: Grid, out: Path) -> Reply:
    """Draw every cell, copy the pictures out and lay the contact sheet beside them."""
    with sampling_progress("Drawing") as on_progress:
        made = studio_of(ctx).sampling.grid(project, grid, on_progress)
    files = copy_out(made.views, out)
    sheet = write_sheet(made, out / f"{files[0].name.partition('_')[0]}_grid.png")
    images = [
        {"cell": caption, **describe(view, file)}
        for caption, view, file in zip(made.captions, made.views, files, strict=True)
    ]
    return Reply({"images": images, "sheet": sheet}, "\n".join(map(str, [*files, sheet])))
