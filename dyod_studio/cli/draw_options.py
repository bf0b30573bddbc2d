"""What every command that draws can be told, and how it answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from dyod_studio.cli.progress import sampling_progress
from dyod_studio.cli.pictures import copy_out, describe
from dyod_studio.cli.reply import Reply
from dyod_studio.cli.session import check_writable
from dyod_studio.studio.sampling.requests import Denoising, SamplingProgress
from dyod_studio.studio.views import GenerationView

Asked = TypeVar("Asked", bound=Denoising)
Draw = Callable[[str, Asked, Callable[[SamplingProgress], None]], list[GenerationView]]

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
Use = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND",
        help="A trained part to draw with, and no others; repeat for more. "
        "Without it: the inversion and the vae, or what was trained in place of the inversion.",
    ),
]
Strength = Annotated[
    float,
    typer.Option(help="Share of what dreambooth, lora, custom-diffusion and anl change: 0 to 1."),
]


def check_folder(out: Path | None) -> None:
    """Refuse a folder that cannot be written before anything is drawn."""
    if out is not None:
        check_writable(out, option="--out")


def named(use: list[str] | None) -> tuple[str, ...] | None:
    """The parts that were named; None when none was."""
    return tuple(use) if use else None


def draw_pictures(draw: Draw[Asked], project: str, settings: Asked, out: Path | None) -> Reply:
    """Draw with a progress bar, and say where the pictures are."""
    with sampling_progress("Drawing") as on_progress:
        views = draw(project, settings, on_progress)
    files = [view.file for view in views] if out is None else copy_out(views, out)
    images = [describe(view, file) for view, file in zip(views, files, strict=True)]
    return Reply({"images": images}, "\n".join(str(file) for file in files))
