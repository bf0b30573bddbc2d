"""What the buttons of the Studio screen do: pictures, five t0s, a grid, a live picture."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.errors import InvalidInputError
from dyod_studio.services.sampling.dispatcher import OnProgress
from dyod_studio.services.sampling.grid import STRIP_T0, Axis, Grid, axis_of, write_sheet
from dyod_studio.ui.errors import chosen
from dyod_studio.ui.studio.canvas import UNTOUCHED
from dyod_studio.ui.studio.results import captioned, result_updates
from dyod_studio.ui.studio.wish import Wish, request_for

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

LIVE_STEPS = 12
"""Steps of the whole way for a picture that follows the hand."""
NO_AXIS = "none"


def make(
    studio: "Studio", scratch: Path, wish: Wish, visitor: str, on_progress: OnProgress
) -> tuple[Any, ...]:
    """Pictures of what is on the canvas, and the seed of the first."""
    with request_for(studio, scratch, wish) as settings:
        views = studio.sampling.sample(chosen(wish.project), settings, on_progress, visitor=visitor)
    return *result_updates(captioned(views)), str(settings.seed)


def make_strip(
    studio: "Studio", scratch: Path, wish: Wish, visitor: str, on_progress: OnProgress
) -> tuple[Any, ...]:
    """The same sketch at five t0s."""
    axis = Axis("t0", STRIP_T0)
    return make_grid(studio, scratch, wish, axis, None, visitor, on_progress, columns=3)


def make_grid(
    studio: "Studio", scratch: Path, wish: Wish, x: Axis, y: Axis | None, visitor: str,
    on_progress: OnProgress, columns: int | None = None,
) -> tuple[Any, ...]:  # fmt: skip
    """Every pair of two settings, each under what is particular about it, and all on one sheet."""
    with request_for(studio, scratch, wish, num_images=1) as settings:
        grid = Grid(settings, x, y)
        made = studio.sampling.grid(chosen(wish.project), grid, on_progress, visitor=visitor)
    folder = Path(tempfile.mkdtemp(dir=scratch, prefix="grid-"))
    sheet = write_sheet(made, folder / "grid.png")
    pictures = [
        (str(view.file), caption) for view, caption in zip(made.views, made.captions, strict=True)
    ]
    width = columns or len(x.values)
    return *result_updates(pictures, width, str(sheet)), str(settings.seed)


def axes_in(
    across: str, across_values: str | None, down: str | None, down_values: str | None
) -> tuple[Axis, Axis | None]:
    """The axes that were chosen and typed; without a second one, a single row."""
    x = axis_of(across, (across_values or "").split(","))
    if down in (None, NO_AXIS):
        return x, None
    return x, axis_of(str(down), (down_values or "").split(","))


def make_live(studio: "Studio", scratch: Path, wish: Wish, visitor: str) -> tuple[Any, ...] | None:
    """One quick picture that follows the hand; None to leave the page as it is.

    An empty canvas is nothing to draw. The seed in the field stays, locked or not, or the picture
    would jump with every stroke.
    """
    quick = {"num_images": 1, "num_inference_steps": LIVE_STEPS}
    try:
        with request_for(studio, scratch, replace(wish, is_locked=True), **quick) as settings:
            view = studio.sampling.live(chosen(wish.project), settings, visitor=visitor)
    except InvalidInputError as exc:
        if str(exc) == UNTOUCHED:
            return None
        raise
    if view is None:
        return None
    return *result_updates([(str(view.file), f"live, seed {view.seed}")]), str(view.seed)


def cancel(studio: "Studio", visitor: str) -> None:
    """Stop what this window waits for."""
    if studio.sampling.cancel(visitor):
        gr.Info("Stopped.")
    else:
        gr.Info("Nothing is being made at the moment.")
