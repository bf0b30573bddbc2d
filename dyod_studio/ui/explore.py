"""The Explore screen: new pictures from nothing, the way between two, one trait at a time."""

from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.studio.requests import SampleSettings, Start
from dyod_studio.ui.controls import (
    build_fine_controls,
    captioned,
    seed_field,
    t0_slider,
    told,
    training_note,
)
from dyod_studio.ui.errors import chosen, shown_to_user
from dyod_studio.ui.explore_ways import build_between, build_traits
from dyod_studio.ui.pieces import heading
from dyod_studio.ui.typed import any_text, guidance_in, seed_in
from dyod_studio.ui.wiring import PRIVATE, PROGRESS, SILENT

if TYPE_CHECKING:
    from dyod_studio.studio.facade import Studio

STARTS = [("From the shapes it learned", "distribution"), ("From the word alone", "prompt")]


def build_explore(studio: "Studio", project: gr.State) -> list[Any]:
    """Lay out the screen and wire it; returns what ``show_explore`` fills."""
    hint = gr.HTML(elem_id="explore-hint", padding=False)
    with gr.Tabs(elem_id="explore-tabs"):
        with gr.Tab("New pictures"):
            _build_new(studio, project)
        with gr.Tab("Between two"):
            build_between(studio, project)
        with gr.Tab("One trait") as traits:
            coordinate = build_traits(studio, project)
    traits.select(partial(show_traits, studio), project, coordinate, **SILENT)
    return [hint]


def _build_new(studio: "Studio", project: gr.State) -> None:
    with gr.Row():
        with gr.Column(scale=2, min_width=340):
            gr.HTML(heading("New pictures", "From nothing, in the style of your set."))
            start = gr.Radio(STARTS, value="distribution", label="Begin", elem_id="new-start")
            t0 = t0_slider(
                "How much may change", "Of the shape it begins with (t0).", 0.5, "new-t0"
            )
            prompt = gr.Textbox(
                label="Words around the style word", max_lines=1, visible=False,
                placeholder="a rendering of {token}", elem_id="new-prompt",
                info="Empty: the word by itself.",
            )  # fmt: skip
            with gr.Row():
                number = gr.Slider(1, 16, value=4, step=1, label="Pictures", elem_id="new-number")
                seed = seed_field("new-seed")
            fine = build_fine_controls("new")
            make = gr.Button("Make new pictures", variant="primary", elem_id="new-make")
        with gr.Column(scale=3, min_width=420):
            results = gr.Gallery(
                label="New pictures", show_label=False, columns=4, height=560,
                object_fit="contain", buttons=["download", "fullscreen"], interactive=False,
                format="png", elem_id="new-results",
            )  # fmt: skip
    start.change(on_start, start, [t0, prompt], **SILENT)
    make.click(
        partial(on_new_pictures, studio),
        [project, start, t0, prompt, number, seed, fine.guidance, fine.steps], results, **PRIVATE,
    )  # fmt: skip
    project.change(list, None, results, **PRIVATE)


def on_start(start: Start) -> tuple[Any, Any]:
    """t0 belongs to a start from a shape, the words to a start from the word."""
    return gr.update(visible=start == "distribution"), gr.update(visible=start == "prompt")


def show_explore(studio: "Studio", project: int | None) -> str:
    return training_note(studio, project, ("inversion", "vae"))


def show_traits(studio: "Studio", project: int | None) -> Any:
    """The coordinates of the small VAE, the most telling first; none before it is trained."""
    if project is None or "vae" not in studio.projects.get(project).artifacts:
        return gr.update(choices=[], value=None)
    views = studio.sampling.coordinates(project)
    choices = [(f"Trait {view.rank + 1} (tells {view.kl:.2f} nats)", view.rank) for view in views]
    return gr.update(choices=choices, value=choices[0][1] if choices else None)


@shown_to_user
def on_new_pictures(
    studio: "Studio", project: int | None, start: Start, t0: float, prompt: str | None,
    number: float, seed: str | None, guidance: str | None, steps: float,
    progress: gr.Progress = PROGRESS,
) -> list[tuple[str, str]]:  # fmt: skip
    is_prompt = start == "prompt"
    settings = SampleSettings(
        start=start, t0=None if is_prompt else t0, prompt=any_text(prompt) if is_prompt else None,
        num_images=int(number), seed=seed_in(seed), guidance_scale=guidance_in(guidance),
        num_inference_steps=int(steps),
    )  # fmt: skip
    progress(0, desc="Waking the model")
    return captioned(studio.sampling.sample(chosen(project), settings, told(progress)))
