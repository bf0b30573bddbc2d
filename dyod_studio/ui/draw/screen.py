"""The Studio screen: a sketch on the left becomes a picture of her set beside it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.requests.sampling import SampleRequest
from dyod_studio.ui.common.controls import build_fine_controls, field_slider, training_note
from dyod_studio.ui.common.handlers import SILENT, shown_to_user
from dyod_studio.ui.common.html import heading
from dyod_studio.ui.common.part_picker import PartControls, build_parts, show_use
from dyod_studio.ui.draw.actions import (
    ALONE,
    GridControls,
    Screen,
    build_grid,
    build_results,
    make_live,
    wire_buttons,
    wire_results,
)
from dyod_studio.ui.draw.canvas_panel import build_drawing, wire_drawing
from dyod_studio.ui.draw.form import TAKE_BRUSHES, visitor_of
from dyod_studio.ui.draw.restore import NAMES, restore_updates

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio


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
    wire_buttons(studio, scratch, screen)
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
    beside = {"under": drawing.under, "region_note": drawing.region_note}
    places = {**screen.fields, **beside, "line_controls": drawing.lines.below}
    again.change(restore_updates, again, [places[name] for name in NAMES], **ALONE).then(
        show_use, parts.use, [parts.kinds, parts.adapter_strength, parts.conditioning], **ALONE
    )


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
