"""The Studio screen: a sketch on the left becomes a picture of her set on the right."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.studio.requests import SampleSettings
from dyod_studio.ui.canvas import saved, sketch_from_canvas
from dyod_studio.ui.controls import (
    build_fine_controls,
    captioned,
    seed_field,
    t0_slider,
    told,
    training_note,
)
from dyod_studio.ui.errors import chosen, shown_to_user
from dyod_studio.ui.pieces import heading
from dyod_studio.ui.typed import guidance_in, seed_in
from dyod_studio.ui.wiring import PRIVATE, PROGRESS

if TYPE_CHECKING:
    from dyod_studio.studio.facade import Studio

SIDE = 512
"""Side of the canvas in pixels."""
TAKE_BRUSH = """
() => {
  if (window.dyodBrushTaken) return;
  window.dyodBrushTaken = true;
  const started = Date.now();
  const take = () => {
    const brush = document.querySelector('#canvas button[aria-label="Brush"]');
    if (brush) brush.click();
    else if (Date.now() - started < 20000) setTimeout(take, 150);
  };
  take();
}
"""
"""Gradio's canvas begins with the upload tool; most people come to draw."""
COLORS = ["#1f2328", "#d64545", "#f2b134", "#2f9e6e", "#3b73c9", "#8a5cc2", "#ffffff"]


def build_studio_screen(
    studio: "Studio", scratch: Path, project: gr.State, tab: gr.Tab
) -> list[Any]:
    """Lay out the screen and wire it; returns what ``show_studio`` fills."""
    hint = gr.HTML(elem_id="studio-hint", padding=False)
    with gr.Row():
        with gr.Column(scale=5, min_width=420):
            gr.HTML(heading("Sketch", "Draw, or drop a picture. Rough shapes and colours will do."))
            canvas = build_canvas()
        with gr.Column(scale=3, min_width=260, elem_id="studio-controls"):
            t0 = t0_slider(
                "How much may change", "Left: stays your drawing. Right: only the idea stays (t0).",
                0.5, "studio-t0",
            )  # fmt: skip
            number = gr.Slider(
                1, 8, value=2, step=1, label="Pictures", info="How many at once.",
                elem_id="studio-number",
            )  # fmt: skip
            seed = seed_field("studio-seed")
            make = gr.Button("Make pictures", variant="primary", elem_id="make")
            fine = build_fine_controls("studio")
        with gr.Column(scale=5, min_width=420):
            gr.HTML(heading("Your picture", "Drawn again the way your set would have it."))
            results = gr.Gallery(
                label="Results", show_label=False, columns=2, height=560, object_fit="contain",
                buttons=["download", "fullscreen"], interactive=False, format="png",
                elem_id="results",
            )  # fmt: skip
    make.click(
        partial(on_make, studio, scratch),
        [project, canvas, t0, number, seed, fine.guidance, fine.steps], results, **PRIVATE,
    )  # fmt: skip
    tab.select(None, None, None, js=TAKE_BRUSH)
    project.change(list, None, results, **PRIVATE)
    return [hint]


def build_canvas() -> gr.ImageEditor:
    return gr.ImageEditor(
        label="Sketch", show_label=False, type="pil", image_mode="RGBA", format="png",
        sources=("upload", "clipboard"), transforms=(), layers=False, canvas_size=(SIDE, SIDE),
        fixed_canvas=True, height=560, elem_id="canvas", buttons=[],
        brush=gr.Brush(default_size=18, colors=COLORS, default_color=COLORS[0], color_mode="fixed"),
        eraser=gr.Eraser(default_size=28),
    )  # fmt: skip


def show_studio(studio: "Studio", project: int | None) -> str:
    return training_note(studio, project, ("inversion",))


@shown_to_user
def on_make(
    studio: "Studio", scratch: Path, project: int | None, canvas: dict[str, Any] | None, t0: float,
    number: float, seed: str | None, guidance: str | None, steps: float,
    progress: gr.Progress = PROGRESS,
) -> list[tuple[str, str]]:  # fmt: skip
    """Turn what is on the canvas into pictures of the set."""
    picture = sketch_from_canvas(canvas)
    progress(0, desc="Waking the model")
    with saved(picture, scratch) as path:
        settings = SampleSettings(
            start="image", image=path, t0=t0, num_images=int(number), seed=seed_in(seed),
            guidance_scale=guidance_in(guidance), num_inference_steps=int(steps),
        )  # fmt: skip
        return captioned(studio.sampling.sample(chosen(project), settings, told(progress)))
