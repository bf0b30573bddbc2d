"""The two ways through what was learned: between two pictures, and along one trait."""

from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.errors import InvalidInputError
from dyod_studio.studio.requests import InterpolationSettings, TraversalSettings
from dyod_studio.ui.controls import (
    build_fine_controls,
    seed_field,
    t0_slider,
    told,
)
from dyod_studio.ui.errors import chosen, shown_to_user
from dyod_studio.ui.pieces import heading
from dyod_studio.ui.strips import build_strip, strip_updates
from dyod_studio.ui.typed import guidance_in, seed_in
from dyod_studio.ui.wiring import PRIVATE, PROGRESS

if TYPE_CHECKING:
    from dyod_studio.studio.facade import Studio


def build_between(studio: "Studio", project: gr.State) -> None:
    """Lay out and wire the slider between two ends."""
    with gr.Row():
        with gr.Column(scale=2, min_width=340):
            gr.HTML(heading("Between two", "Give two ends; the strip in between is made once."))
            with gr.Row():
                picture_a, seed_a = _build_end("A", 1)
                picture_b, seed_b = _build_end("B", 2)
            frames = gr.Slider(
                3, 25, value=9, step=1, label="Frames", info="How many from A to B.",
                elem_id="between-number",
            )  # fmt: skip
            t0 = t0_slider("How much may change", "On each frame (t0).", 0.5, "between-t0")
            free = gr.Checkbox(
                False, label="Let every frame find its own details", elem_id="between-free",
                info="Off: one noise for all, the way is smooth. On: each draws its own.",
            )  # fmt: skip
            fine = build_fine_controls("between")
            make = gr.Button("Make the strip", variant="primary", elem_id="between-make")
        with gr.Column(scale=3, min_width=420):
            strip = build_strip("From A to B", "Moves at once: the frames are ready.", "between")
    make.click(
        partial(on_between, studio),
        [project, picture_a, seed_a, picture_b, seed_b, frames, t0, free, fine.guidance,
         fine.steps],
        strip.outputs, show_progress_on=[strip.picture], **PRIVATE,
    )  # fmt: skip
    project.change(lambda: strip_updates([]), None, strip.outputs, **PRIVATE)


def _build_end(name: str, seed: int) -> tuple[gr.Image, gr.Textbox]:
    with gr.Column(min_width=150):
        picture = gr.Image(
            label=f"{name}: a picture", type="filepath", sources=["upload", "clipboard"],
            height=170, image_mode=None, elem_id=f"end-{name.lower()}", buttons=[],
        )  # fmt: skip
        number = gr.Textbox(
            str(seed), label=f"{name}: or a seed", max_lines=1,
            info="Used when there is no picture.", elem_id=f"end-{name.lower()}-seed",
        )  # fmt: skip
    return picture, number


def build_traits(studio: "Studio", project: gr.State) -> gr.Dropdown:
    """Lay out and wire the traversal; returns the list of traits, to be filled."""
    with gr.Row():
        with gr.Column(scale=2, min_width=340):
            gr.HTML(heading("One trait", "Move one thing the shape model has learned to tell."))
            coordinate = gr.Dropdown(
                [], label="Trait", filterable=False, elem_id="trait", interactive=True,
                info="Most telling first (coordinates of the initial VAE by their mean KL).",
            )  # fmt: skip
            span = gr.Slider(
                0.5, 6, value=3, step=0.5, label="How far", elem_id="trait-span",
                info="To either side, in standard deviations (span).",
            )  # fmt: skip
            with gr.Row():
                frames = gr.Slider(
                    3, 25, value=7, step=1, label="Frames", info="From one side to the other.",
                    elem_id="trait-number",
                )  # fmt: skip
                seed = seed_field("trait-seed")
            t0 = t0_slider("How much may change", "On each frame (t0).", 0.5, "trait-t0")
            fine = build_fine_controls("trait")
            make = gr.Button("Make the strip", variant="primary", elem_id="trait-make")
        with gr.Column(scale=3, min_width=420):
            strip = build_strip("Along the trait", "Moves at once: the frames are ready.", "trait")
    make.click(
        partial(on_trait, studio),
        [project, coordinate, span, frames, t0, seed, fine.guidance, fine.steps],
        strip.outputs, show_progress_on=[strip.picture], **PRIVATE,
    )  # fmt: skip
    project.change(lambda: strip_updates([]), None, strip.outputs, **PRIVATE)
    return coordinate


def end_of(name: str, picture: str | None, seed: str | None) -> str:
    """An end as the studio wants it: the picture's path, or ``seed:N``."""
    if picture:
        return picture
    number = seed_in(seed)
    if number is None:
        raise InvalidInputError(f"End {name} needs a picture or a seed.")
    return f"seed:{number}"


@shown_to_user
def on_between(
    studio: "Studio", project: int | None, picture_a: str | None, seed_a: str | None,
    picture_b: str | None, seed_b: str | None, frames: float, t0: float, free: bool,
    guidance: str | None, steps: float, progress: gr.Progress = PROGRESS,
) -> tuple[Any, ...]:  # fmt: skip
    settings = InterpolationSettings(
        a=end_of("A", picture_a, seed_a), b=end_of("B", picture_b, seed_b),
        num_frames=int(frames), t0=t0, free_noise=free,
        guidance_scale=guidance_in(guidance), num_inference_steps=int(steps),
    )  # fmt: skip
    progress(0, desc="Waking the model")
    return strip_updates(studio.sampling.interpolate(chosen(project), settings, told(progress)))


@shown_to_user
def on_trait(
    studio: "Studio", project: int | None, coordinate: int | None, span: float, frames: float,
    t0: float, seed: str | None, guidance: str | None, steps: float,
    progress: gr.Progress = PROGRESS,
) -> tuple[Any, ...]:  # fmt: skip
    if coordinate is None:
        raise InvalidInputError("There is no trait to move yet: train the shape model first.")
    settings = TraversalSettings(
        coordinate=coordinate, span=span, num_frames=int(frames), t0=t0, seed=seed_in(seed),
        guidance_scale=guidance_in(guidance), num_inference_steps=int(steps),
    )  # fmt: skip
    progress(0, desc="Waking the model")
    views = studio.sampling.traverse(chosen(project), settings, told(progress))
    return strip_updates(views, start=len(views) // 2)
