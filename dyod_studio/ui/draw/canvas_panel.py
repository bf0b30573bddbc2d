"""The left side of the Studio screen: the canvas, the region brush, and the buttons below."""

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr
from PIL import Image

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.sampling import SampleRequest
from dyod_studio.ui.common.controls import field_slider, t0_slider
from dyod_studio.ui.common.handlers import SILENT, shown_to_user
from dyod_studio.ui.common.html import heading, note
from dyod_studio.ui.draw.form import (
    SIDE,
    TAKE_BRUSHES,
    Canvas,
    CanvasTransfer,
    TransferredCanvases,
    brush_of,
    build_canvas,
    build_canvas_events,
    build_canvas_transfer,
    build_region,
    is_marked,
    sketch_from_canvas,
)
from dyod_studio.ui.draw.t0_advice import build_t0_curve, wire_t0_advice

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

DEFAULT_T0 = 0.5
T0_OF_LINES = 1.0
"""Where lines lead: what they leave open is the set's alone."""
BRUSHED = "Only what you brushed is drawn again; the rest stays as it is."


class Drawing(NamedTuple):
    """The components; ``under`` says which sketch lies under the region brush."""

    canvas: gr.ImageEditor
    region_tab: gr.Tab
    region: gr.ImageEditor
    under: gr.State
    region_note: gr.Row
    forget: gr.Button
    t0: gr.Slider
    t0_curve: gr.HTML
    lines: "LineControls"
    make: gr.Button
    strip: gr.Button
    stop: gr.Button
    live: gr.Checkbox
    keep: gr.Button
    transfer: CanvasTransfer
    canvas_events: gr.HTML

    @property
    def fields(self) -> dict[str, Any]:
        """Name of a field -> component."""
        return {
            "canvas": self.canvas, "region": self.region, "t0": self.t0,
            "lines_lead": self.lines.lead, "control_scale": self.lines.scale,
            "control_until": self.lines.until,
        }  # fmt: skip


class LineControls(NamedTuple):
    """The switch, and what stands below it; in sight once the project can follow lines."""

    lead: gr.Checkbox
    below: gr.Row
    scale: gr.Slider
    until: gr.Slider


def build_line_controls() -> LineControls:
    lead = gr.Checkbox(
        False, label="My lines lead", visible=False, elem_id="lines-lead",
        info="Draw with a pencil, in outline only: it colours and finishes in your set's manner, "
        "and keeps your lines.",
    )  # fmt: skip
    with gr.Row(visible=False) as below:
        scale = field_slider(
            SampleRequest, "control_scale", step=0.05, elem_id="lines-scale",
            info="Left: roughly this. Right: my lines (conditioning scale).",
        )  # fmt: skip
        until = field_slider(
            SampleRequest, "control_until", step=0.05, elem_id="lines-until",
            info="Later they are left to the style (share of the steps).",
        )  # fmt: skip
    return LineControls(lead, below, scale, until)


def build_drawing() -> Drawing:
    gr.HTML(heading("Sketch", "Draw, or drop a picture. Rough shapes and colours will do."))
    with gr.Tabs(elem_id="canvas-tabs"):
        with gr.Tab("Draw", id="draw"):
            canvas = build_canvas()
        with gr.Tab("Change a part only", id="region") as region_tab:
            region = build_region()
    with gr.Row(visible=False, elem_id="region-row", equal_height=True) as region_row:
        gr.HTML(note(BRUSHED, "good"), padding=False)
        forget = gr.Button("Change all of it", size="sm", scale=0, elem_id="region-forget")
    t0 = t0_slider(
        "Left: stays your drawing. Right: only the idea stays (t0).",
        DEFAULT_T0, "studio-t0",
    )  # fmt: skip
    t0_curve = build_t0_curve("studio-t0-curve")
    lines = build_line_controls()
    with gr.Row(elem_classes="acts"):
        make = gr.Button("Make pictures", variant="primary", elem_id="make", min_width=130, scale=3)
        strip = gr.Button("Five amounts", elem_id="strip", min_width=100, scale=2)
        stop = gr.Button("Stop", elem_id="stop", min_width=70, scale=1)
    with gr.Row(elem_classes="acts"):
        live = gr.Checkbox(
            False, label="Live", elem_id="live", min_width=160, scale=3,
            info="A quick picture follows each stroke.",
        )  # fmt: skip
        keep = gr.Button("Keep the live picture", elem_id="keep-live", min_width=120, scale=2)
    return Drawing(
        canvas, region_tab, region, gr.State(""), region_row, forget, t0, t0_curve, lines, make,
        strip, stop, live, keep, build_canvas_transfer(canvas, region),
        build_canvas_events(),
    )  # fmt: skip


def wire_drawing(studio: "Studio", drawing: Drawing, project: gr.State, tab: gr.Tab) -> None:
    """Brushes in the colours of the set, and a copy of the sketch under the region brush."""
    colors = gr.State(())
    wire_t0_advice(studio, project, tab, drawing.t0, drawing.t0_curve, DEFAULT_T0)
    gr.on(
        [project.change, tab.select], partial(show_brushes, studio), [project, colors],
        [drawing.canvas, colors], **SILENT,
    )  # fmt: skip
    lines, shown = drawing.lines, gr.State(None)
    gr.on(
        [project.change, tab.select], partial(show_lines, studio), [project, shown],
        [lines.lead, lines.below, shown], **SILENT,
    )  # fmt: skip
    lines.lead.input(on_lead, lines.lead, [lines.below, drawing.t0], **SILENT)
    transfer = drawing.transfer

    def on_region(transferred: TransferredCanvases, under: str) -> tuple[Any, Any]:
        return show_region(*transfer.read(transferred), under)

    transfer.call(
        drawing.region_tab.select, on_region, [transfer.transferred, drawing.under],
        [drawing.region, drawing.under], **SILENT,
    ).then(None, None, None, js=TAKE_BRUSHES)  # fmt: skip
    drawing.canvas_events.edit(lambda: gr.update(visible=True), None, drawing.region_note, **SILENT)
    gr.on(
        [drawing.forget.click, drawing.region.clear],
        lambda: (None, "", gr.update(visible=False)), None,
        [drawing.region, drawing.under, drawing.region_note], **SILENT,
    )  # fmt: skip


def show_lines(studio: "Studio", project: int | None, shown: bool | None) -> tuple[Any, ...]:
    """The switch, where the project has learned to follow lines; what is shown is not sent again.

    It is switched off where there is nothing to follow them.
    """
    can = project is not None and "control" in studio.projects.get(project).artifacts
    if can == shown:
        return (gr.skip(),) * 3
    if can:
        return gr.update(visible=True), gr.skip(), can
    return gr.update(visible=False, value=False), gr.update(visible=False), can


def on_lead(is_on: bool) -> tuple[Any, float]:
    """The controls of the lines, and the t0 that goes with them, or without."""
    return gr.update(visible=is_on), T0_OF_LINES if is_on else DEFAULT_T0


def show_brushes(studio: "Studio", project: int | None, colors: tuple[str, ...]) -> tuple[Any, Any]:
    """The palette of the project's set; nothing is sent when the canvas has it already."""
    found = () if project is None else studio.sampling.palette(project)
    if not found or found == tuple(colors):
        return gr.skip(), gr.skip()
    return gr.ImageEditor(brush=brush_of(found)), found


@shown_to_user
def show_region(canvas: Canvas, region: Canvas, under: str) -> tuple[Any, Any]:
    """Lay the sketch under the region brush, if another one lies there; marks stay."""
    try:
        sketch = sketch_from_canvas(canvas)
    except InvalidInputError as exc:
        raise InvalidInputError(
            "Draw or drop a picture first; then brush over the part that shall change."
        ) from exc
    digest = digest_of(sketch)
    if digest == under:
        return gr.skip(), gr.skip()
    layers = [layer for layer in (region or {}).get("layers") or () if is_marked(layer)]
    large = sketch.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return {"background": large, "layers": layers, "composite": None}, digest


def digest_of(sketch: Image.Image) -> str:
    """By what a sketch is known again."""
    return hashlib.sha256(sketch.tobytes()).hexdigest()
