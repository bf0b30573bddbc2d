"""Actions of the Studio screen's buttons: pictures, five t0s, a grid, a live picture."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.errors import InvalidInputError
from dyod_studio.services.sampling.dispatcher import OnProgress
from dyod_studio.services.sampling.grid import STRIP_T0, Axis, Grid, axis_of, write_sheet
from dyod_studio.ui.common.handlers import SILENT, chosen
from dyod_studio.ui.draw.canvas import UNTOUCHED
from dyod_studio.ui.draw.form import Values, request_for
from dyod_studio.ui.draw.results import captioned, result_updates

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

LIVE_STEPS = 12
"""Steps of the whole way for a picture that follows the hand."""
NO_AXIS = "none"


def make(
    studio: "Studio", scratch: Path, values: Values, visitor: str, on_progress: OnProgress
) -> tuple[Any, ...]:
    """Pictures of what is on the canvas, and the seed of the first."""
    project = chosen(values.get("project"))
    with request_for(studio, scratch, values) as request:
        views = studio.sampling.sample(project, request, on_progress, visitor=visitor)
    return *result_updates(captioned(views)), str(request.seed)


def make_strip(
    studio: "Studio", scratch: Path, values: Values, visitor: str, on_progress: OnProgress
) -> tuple[Any, ...]:
    """The same sketch at five t0s."""
    axis = Axis("t0", STRIP_T0)
    return make_grid(studio, scratch, values, axis, None, visitor, on_progress, columns=3)


def make_grid(
    studio: "Studio", scratch: Path, values: Values, x: Axis, y: Axis | None, visitor: str,
    on_progress: OnProgress, columns: int | None = None,
) -> tuple[Any, ...]:  # fmt: skip
    """Every pair of two settings, each under what is particular about it, and all on one sheet."""
    project = chosen(values.get("project"))
    with request_for(studio, scratch, values, num_images=1) as request:
        grid = Grid(request, x, y)
        made = studio.sampling.grid(project, grid, on_progress, visitor=visitor)
    folder = Path(tempfile.mkdtemp(dir=scratch, prefix="grid-"))
    sheet = write_sheet(made, folder / "grid.png")
    pictures = [
        (str(view.file), caption) for view, caption in zip(made.views, made.captions, strict=True)
    ]
    width = columns or len(x.values)
    return *result_updates(pictures, width, str(sheet)), str(request.seed)


def axes_in(
    across: str, across_values: str | None, down: str | None, down_values: str | None
) -> tuple[Axis, Axis | None]:
    """The axes that were chosen and typed; without a second one, a single row."""
    x = axis_of(across, (across_values or "").split(","))
    if down in (None, NO_AXIS):
        return x, None
    return x, axis_of(str(down), (down_values or "").split(","))


def make_live(
    studio: "Studio", scratch: Path, values: Values, visitor: str
) -> tuple[Any, ...] | None:
    """One quick picture that follows the hand; None to leave the page as it is.

    An empty canvas is nothing to draw. The seed in the field stays, locked or not, or the picture
    would jump with every stroke.
    """
    quick = {"num_images": 1, "num_inference_steps": LIVE_STEPS}
    try:
        with request_for(studio, scratch, {**values, "is_locked": True}, **quick) as request:
            view = studio.sampling.live(chosen(values.get("project")), request, visitor=visitor)
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


NAMES = {
    "t0": "How much may change (t0)",
    "mask-rate": "How freely the reference is read (mask rate)",
    "guidance": "Guidance",
    "seed": "Seed",
    "parts": "Trained parts",
}
FIRST_VALUES = {
    "t0": "0.3, 0.5, 0.7",
    "mask-rate": "0, 0.3, 0.6",
    "guidance": "1, 3, 6",
    "seed": "1, 2, 3",
    "parts": "inversion, none",
    NO_AXIS: "",
}
"""What stands in the field until something else is typed."""


class GridControls(NamedTuple):
    """Two axes; ``down`` may be none."""

    across: gr.Dropdown
    across_values: gr.Textbox
    down: gr.Dropdown
    down_values: gr.Textbox
    make: gr.Button

    @property
    def inputs(self) -> list[Any]:
        """Components that ``axes_in`` is given."""
        return list(self[:4])


def build_grid() -> GridControls:
    choices = [(title, name) for name, title in NAMES.items()]
    with gr.Accordion("Grid: two settings against each other", open=False):
        across, across_values = _build_axis("Across", choices, "t0", "across")
        down, down_values = _build_axis(
            "Down", [("Nothing: one row", NO_AXIS), *choices], "guidance", "down"
        )
        make = gr.Button("Make the grid", elem_id="grid-make")
    return GridControls(across, across_values, down, down_values, make)


def _build_axis(
    label: str, choices: Sequence[tuple[str, str]], value: str, elem_id: str
) -> tuple[gr.Dropdown, gr.Textbox]:
    axis = gr.Dropdown(
        list(choices), value=value, label=label, filterable=False, elem_id=f"grid-{elem_id}"
    )
    values = gr.Textbox(
        FIRST_VALUES[value], label=f"Values {label.lower()}", max_lines=1,
        elem_id=f"grid-{elem_id}-values", info="With commas between; join parts with +.",
    )  # fmt: skip
    axis.input(lambda name: FIRST_VALUES[name], axis, values, **SILENT)
    return axis, values
