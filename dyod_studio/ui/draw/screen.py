"""The Studio screen: a sketch on the left becomes a picture of her set beside it."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.errors import SampleCancelledError
from dyod_studio.requests.sampling import SampleRequest
from dyod_studio.services.sampling.dispatcher import OnProgress
from dyod_studio.ui.common.controls import build_fine_controls, field_slider, training_note
from dyod_studio.ui.common.handlers import PROGRESS, SILENT, progress_callback, shown_to_user
from dyod_studio.ui.common.html import heading
from dyod_studio.ui.common.part_picker import PartControls, build_parts, show_use
from dyod_studio.ui.draw.actions import (
    GridControls,
    Results,
    axes_in,
    build_grid,
    build_results,
    cancel,
    make,
    make_grid,
    make_live,
    make_strip,
    wire_results,
)
from dyod_studio.ui.draw.canvas_panel import Drawing, build_drawing, wire_drawing
from dyod_studio.ui.draw.form import (
    TAKE_BRUSHES,
    Fields,
    Values,
    form_inputs,
    read_form,
    visitor_of,
)
from dyod_studio.ui.draw.restore import NAMES, restore_updates

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

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


def build_studio_screen(
    studio: "Studio", scratch: Path, project: gr.State, tab: gr.Tab, again: gr.State | None = None
) -> list[Any]:
    """Lay out the screen and wire it; returns what ``show_studio`` fills.

    ``again`` holds the AgainView that a screen shall stand as.
    """
    hint = gr.HTML(elem_id="studio-hint", padding=False)
    with gr.Row(elem_id="studio-row"):
        with gr.Column(scale=5, min_width=360):
            drawing = build_drawing()
        with gr.Column(scale=5, min_width=360):
            results = build_results()
        with gr.Column(scale=3, min_width=280, elem_id="studio-controls"):
            settings, parts, grid = _build_settings(studio, project, tab)
    fields = {"project": project, **drawing.fields, **settings}
    screen = Screen(drawing, results, grid, fields)
    wire_results(results, drawing.transfer, project)
    wire_drawing(studio, drawing, project, tab)
    _wire_buttons(studio, scratch, screen)
    _wire_live(studio, scratch, screen)
    settings["seed"].input(lambda: True, None, settings["is_locked"], **ALONE)
    gr.on([tab.select, project.change], None, None, None, js=TAKE_BRUSHES)
    if again is not None:
        _wire_restore(again, screen, parts)
    return [hint]


def _build_settings(
    studio: "Studio", project: gr.State, tab: gr.Tab
) -> tuple[dict[str, Any], PartControls, GridControls]:
    """The column of settings, by the names they have in the request."""
    gr.HTML(heading("How", "What counts for the next picture."))
    number = field_slider(
        SampleRequest, "num_images", most=8, value=2, step=1, info="How many at once.",
        elem_id="studio-number",
    )  # fmt: skip
    seed = gr.Textbox(
        label="Seed", info="Same number, same picture.", max_lines=1, elem_id="studio-seed",
        placeholder="a new one each time",
    )  # fmt: skip
    lock = gr.Checkbox(
        False, label="Keep this seed", elem_id="studio-lock",
        info="Off: each press draws a new one and shows it here.",
    )  # fmt: skip
    prompt = gr.Textbox(
        label="In words", max_lines=1, placeholder="a photo of {token}",
        info="{token} stands for the style word. Empty: as it was taught (prompt).",
        elem_id="studio-prompt",
    )  # fmt: skip
    fine = build_fine_controls("studio")
    parts = build_parts(studio, project, tab)
    grid = build_grid()
    named = {"num_images": number, "seed": seed, "is_locked": lock, "prompt": prompt}
    return {**named, **fine._asdict(), **parts.fields}, parts, grid


def _wire_restore(again: gr.State, screen: Screen, parts: PartControls) -> None:
    """Stand as it stood for a picture, whenever one is asked for."""
    drawing = screen.drawing
    places = {**screen.fields, "under": drawing.under, "region_note": drawing.region_note}
    again.change(restore_updates, again, [places[name] for name in NAMES], **ALONE).then(
        show_use, parts.use, [parts.kinds, parts.adapter_strength, parts.conditioning], **ALONE
    )


def _wire_buttons(studio: "Studio", scratch: Path, screen: Screen) -> None:
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


def _wire_live(studio: "Studio", scratch: Path, screen: Screen) -> None:
    """While it is on, every stroke asks for a quick picture; only the newest is shown."""
    drawing, results = screen.drawing, screen.results
    outputs = [*results.outputs, screen.fields["seed"]]

    @shown_to_user
    def on_stroke(data: dict[Any, Any], request: gr.Request) -> tuple[Any, ...]:
        values = screen.values(data)
        updates = make_live(studio, scratch, values, visitor_of(request))
        return updates or (gr.skip(),) * len(outputs)

    strokes = gr.State(0)
    gr.on(
        [drawing.canvas_events.select, drawing.t0.release, drawing.live.input], count_strokes,
        [drawing.live, strokes], strokes, trigger_mode="multiple", **SILENT,
    )  # fmt: skip
    drawing.transfer.call(
        strokes.change, on_stroke, screen.inputs, outputs, show_progress="hidden",
        trigger_mode="multiple", **ALONE,
    )  # fmt: skip

    def on_keep(request: gr.Request) -> None:
        studio.sampling.keep_live(visitor_of(request))
        gr.Info("This picture stays in the gallery.")

    drawing.keep.click(on_keep, None, None, **ALONE)


def count_strokes(is_live: bool, strokes: int) -> Any:
    """Wakes the live picture; without it nothing of the canvas is sent."""
    return strokes + 1 if is_live else gr.skip()


def show_studio(studio: "Studio", project: int | None) -> str:
    """A hint while nothing is trained that draws a sketch in the manner of the set."""
    return training_note(studio, project, ())
