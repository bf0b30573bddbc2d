"""Actions of the Draw screen's buttons, and the pictures they make, shown beside the canvas."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.errors import InvalidInputError, SampleCancelledError
from dyod_studio.requests.titles import field_title
from dyod_studio.services.sampling.dispatcher import OnProgress
from dyod_studio.services.sampling.grid import STRIP_T0, Axis, Grid, axis_of, write_sheet
from dyod_studio.services.views import GenerationView
from dyod_studio.ui.common.handlers import (
    PRIVATE,
    PROGRESS,
    SILENT,
    chosen,
    progress_callback,
    shown_to_user,
)
from dyod_studio.ui.common.html import heading
from dyod_studio.ui.draw.canvas_panel import Drawing
from dyod_studio.ui.draw.form import (
    SIDE,
    UNTOUCHED,
    Canvas,
    CanvasTransfer,
    Fields,
    TransferredCanvases,
    Values,
    form_inputs,
    read_form,
    request_for,
    sketch_from_canvas,
    visitor_of,
)

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

HEIGHT_PX = 500
NOTHING_YET = "There is no picture yet: make one first."


@dataclass(frozen=True, slots=True)
class ResultsState:
    """The pictures in sight: (file, caption), and which of them was clicked last."""

    pictures: tuple[tuple[str, str], ...] = ()
    chosen: int = 0

    @property
    def file(self) -> str:
        """The picture that was clicked, or the first.

        Raises:
            InvalidInputError: nothing was made yet.
        """
        if not self.pictures:
            raise InvalidInputError(NOTHING_YET)
        return self.pictures[min(self.chosen, len(self.pictures) - 1)][0]


class Results(NamedTuple):
    """The components; ``shown`` holds a Shown."""

    gallery: gr.Gallery
    slider: gr.ImageSlider
    shown: gr.State
    adopt: gr.Button
    compare: gr.Button
    sheet: gr.DownloadButton

    @property
    def outputs(self) -> list[Any]:
        """Components that ``result_updates`` gives new values to, in its order."""
        return [self.gallery, self.slider, self.shown, self.compare, self.sheet]


def build_results() -> Results:
    """Lay out the pane; ``wire_results`` connects it."""
    gr.HTML(heading("Your picture", "Drawn again the way your set would have it."))
    gallery = gr.Gallery(
        label="Results", show_label=False, columns=1, height=HEIGHT_PX, object_fit="contain",
        buttons=["download", "fullscreen"], interactive=False, format="png", elem_id="results",
    )  # fmt: skip
    slider = gr.ImageSlider(
        label="Before and after", show_label=False, type="filepath", format="png", visible=False,
        height=HEIGHT_PX, max_height=HEIGHT_PX, interactive=False, buttons=["fullscreen"],
        elem_id="before-after", elem_classes="frame",
    )  # fmt: skip
    with gr.Row(elem_classes="acts"):
        adopt = gr.Button("Use as sketch", elem_id="use-as-sketch", min_width=120)
        compare = gr.Button("Before and after", elem_id="compare", min_width=120)
        sheet = gr.DownloadButton("Take the sheet", visible=False, elem_id="sheet", min_width=120)
    return Results(gallery, slider, gr.State(ResultsState()), adopt, compare, sheet)


def wire_results(results: Results, transfer: CanvasTransfer, project: gr.State) -> None:
    """Connect the pane to the canvas."""

    def on_compared(
        before_after: Any, shown: ResultsState, transferred: TransferredCanvases
    ) -> tuple[Any, Any, Any]:
        return on_compare(before_after, shown, transfer.read(transferred)[0])

    def on_select(shown: ResultsState, event: gr.SelectData) -> ResultsState:
        return ResultsState(shown.pictures, int(event.index))

    results.gallery.select(on_select, results.shown, results.shown, **SILENT)
    results.adopt.click(on_adopt, results.shown, transfer.canvas, **PRIVATE)
    transfer.call(
        results.compare.click, on_compared, [results.slider, results.shown, transfer.transferred],
        [results.gallery, results.slider, results.compare], **SILENT,
    )  # fmt: skip
    project.change(partial(result_updates, ()), None, results.outputs, **SILENT)


def result_updates(
    pictures: Sequence[tuple[str, str]], columns: int | None = None, sheet: str | None = None
) -> tuple[Any, ...]:
    """New pictures in sight, as large as they can be; the slider gives way to them."""
    columns = columns or (1 if len(pictures) < 2 else 2 if len(pictures) < 5 else 3)
    return (
        gr.update(value=list(pictures), columns=columns, visible=True, selected_index=None),
        gr.update(visible=False, value=None),
        ResultsState(tuple(pictures)),
        gr.update(value="Before and after"),
        gr.update(value=sheet, visible=sheet is not None),
    )


def captioned(views: Sequence[GenerationView]) -> list[tuple[str, str]]:
    """Pictures for a gallery, each under its seed."""
    return [(str(view.file), f"seed {view.seed}") for view in views]


@shown_to_user
def on_adopt(shown: ResultsState) -> str:
    """Put the picture on the canvas, to be drawn on or changed in a part."""
    return shown.file


@shown_to_user
def on_compare(before_after: Any, shown: ResultsState, canvas: Canvas) -> tuple[Any, Any, Any]:
    """Lay the sketch and the picture over one another, or go back to the pictures."""
    if before_after is not None:
        return (
            gr.update(visible=True),
            gr.update(visible=False, value=None),
            gr.update(value="Before and after"),
        )
    after = shown.file
    sketch = sketch_from_canvas(canvas).resize((SIDE, SIDE))
    return (
        gr.update(visible=False),
        gr.update(visible=True, value=(sketch, after)),
        gr.update(value="Back to the pictures"),
    )


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
    "t0": field_title("t0"),
    "mask-rate": field_title("mask_rate"),
    "guidance": field_title("guidance_scale"),
    "seed": field_title("seed"),
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


ALONE: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
"""No visitor waits for another one before the studio hears of the request."""
Work = Callable[[Values, str, OnProgress], tuple[Any, ...]]


class Screen(NamedTuple):
    """The parts of the screen that its buttons work on."""

    drawing: Drawing
    results: Results
    grid: GridControls
    fields: Fields

    @property
    def inputs(self) -> set[Any]:
        """Components that ``values`` is read from."""
        return form_inputs(self.fields, self.drawing.transfer)

    def values(self, data: Mapping[Any, Any]) -> Values:
        """Values of the screen's fields."""
        return read_form(self.fields, data, self.drawing.transfer)


def wire_buttons(studio: "Studio", scratch: Path, screen: Screen) -> None:
    """Make, five t0s, grid and stop; each press is a request of its own."""
    drawing, grid = screen.drawing, screen.grid
    outputs = [*screen.results.outputs, screen.fields["seed"]]
    inputs, call = screen.inputs, drawing.transfer.call
    shade = {"show_progress_on": [screen.results.gallery], **ALONE}

    def on_make(
        data: dict[Any, Any], request: gr.Request, progress: gr.Progress = PROGRESS
    ) -> tuple[Any, ...]:
        values = screen.values(data)
        return worked(partial(make, studio, scratch), values, request, progress, len(outputs))

    def on_strip(
        data: dict[Any, Any], request: gr.Request, progress: gr.Progress = PROGRESS
    ) -> tuple[Any, ...]:
        values = screen.values(data)
        return worked(partial(make_strip, studio, scratch), values, request, progress, len(outputs))

    def on_grid(
        data: dict[Any, Any], request: gr.Request, progress: gr.Progress = PROGRESS
    ) -> tuple[Any, ...]:
        def work(values: Values, visitor: str, on_progress: OnProgress) -> tuple[Any, ...]:
            x, y = axes_in(*(data[component] for component in grid.inputs))
            return make_grid(studio, scratch, values, x, y, visitor, on_progress)

        return worked(work, screen.values(data), request, progress, len(outputs))

    call(drawing.make.click, on_make, inputs, outputs, **shade)
    call(drawing.strip.click, on_strip, inputs, outputs, **shade)
    call(grid.make.click, on_grid, inputs | set(grid.inputs), outputs, **shade)

    def on_stop(request: gr.Request) -> None:
        cancel(studio, visitor_of(request))

    drawing.stop.click(shown_to_user(on_stop), None, None, **ALONE)


@shown_to_user
def worked(
    work: Work, values: Values, request: gr.Request | None, progress: gr.Progress, num_outputs: int
) -> tuple[Any, ...]:
    """Do it, and leave the page as it is when it was stopped on the way."""
    progress(0, desc="Waking the model")
    try:
        return work(values, visitor_of(request), progress_callback(progress))
    except SampleCancelledError:
        return (gr.skip(),) * num_outputs
