"""New pictures from what was learned, and more like the one that pleases."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.sampling import (
    Codes,
    PointRequest,
    Sampler,
    SampleRequest,
    Spacing,
    Start,
)
from dyod_studio.services.views import GenerationView
from dyod_studio.ui.common.controls import captioned, field_slider, seed_field
from dyod_studio.ui.common.handlers import (
    PRIVATE,
    PROGRESS,
    SILENT,
    any_text,
    chosen,
    progress_callback,
    seed_in,
    shown_to_user,
    whole_in,
)
from dyod_studio.ui.common.html import empty, heading
from dyod_studio.ui.common.part_picker import SamplingControls, read_sampling_controls
from dyod_studio.ui.explore.between import visitor_of

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

STARTS = [("From the shapes it learned", "distribution"), ("From words alone", "prompt")]
NOTHING_YET = (
    "Nothing made yet",
    "Press Make new pictures. Each begins with a shape that your set could have had.",
)
CHOOSE = "Click a picture to go on from it."
NONE_CHOSEN = "Click one of the new pictures first."


class New(NamedTuple):
    """The new pictures; ``picked`` holds the one that was clicked: what it is called, its file."""

    picked: gr.State
    as_a: gr.Button
    as_b: gr.Button
    around: gr.Button
    fields: tuple[Any, ...]


def build_new(studio: "Studio", project: gr.State, drawn: SamplingControls) -> New:
    """Lay out and wire the tab; what is done elsewhere with a picture is wired by the screen."""
    made, picked = gr.State(()), gr.State(None)
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            gr.HTML(heading("New pictures", "From nothing, in the style of your set."))
            start, prompt, number, seed = _build_fields()
            make = gr.Button("Make new pictures", variant="primary", elem_id="new-make")
            stop = gr.Button("Stop", variant="stop", size="sm", elem_id="new-stop")
        with gr.Column(scale=3, min_width=320):
            gr.HTML(empty(*NOTHING_YET), elem_id="new-empty", padding=False)
            with gr.Column(visible=False) as panel:
                results, chosen_one, spread = _build_results()
                with gr.Row(elem_classes="headed"):
                    near = gr.Button(
                        "More like this one", size="sm", variant="primary", elem_id="near-make"
                    )
                    as_a = gr.Button("Use as A", size="sm", elem_id="new-as-a")
                    as_b = gr.Button("Use as B", size="sm", elem_id="new-as-b")
                    around = gr.Button("Look around it", size="sm", elem_id="new-around")
    start.change(on_start, start, prompt, **SILENT)
    outputs = [panel, results, made, picked, chosen_one]
    _wire(studio, project, drawn, outputs, make, (start, prompt, number, seed))
    _wire_near(studio, project, drawn, outputs, near, (number, spread))

    def on_select(made: Sequence[tuple[str, str, str]], event: gr.SelectData) -> tuple[Any, str]:
        return on_pick(made, event.index)

    results.select(on_select, made, [picked, chosen_one], **SILENT)

    def on_stop(request: gr.Request) -> None:
        studio.sampling.cancel(visitor_of(request))

    stop.click(on_stop, None, None, **SILENT)
    project.change(lambda: shown_updates([]), None, outputs, **SILENT)
    return New(picked, as_a, as_b, around, (start, prompt, number, seed))


def _build_fields() -> tuple[Any, ...]:
    start = gr.Radio(STARTS, value="distribution", label="Begin", elem_id="new-start")
    prompt = gr.Textbox(
        label="In words",
        max_lines=1,
        visible=False,
        placeholder="a rendering of {token}",
        elem_id="new-prompt",
        info="{token} stands for the style word. Empty: as it was taught.",
    )
    with gr.Row():
        number = field_slider(SampleRequest, "num_images", most=16, step=1, elem_id="new-number")
        seed = seed_field("new-seed")
    return start, prompt, number, seed


def _build_results() -> tuple[Any, ...]:
    results = gr.Gallery(
        label="New pictures",
        show_label=False,
        columns=4,
        height="auto",
        object_fit="contain",
        buttons=[],
        interactive=False,
        allow_preview=False,
        format="png",
        elem_id="new-results",
        elem_classes="thumbs",
    )
    chosen_one = gr.HTML(f'<p class="quiet">{CHOOSE}</p>', elem_id="new-chosen")
    spread = field_slider(
        PointRequest,
        "spread",
        least=0.05,
        value=0.35,
        step=0.05,
        elem_id="near-spread",
        info="Left: nearly the same shape. Right: anything goes (spread of the code).",
    )
    return results, chosen_one, spread


def _wire(
    studio: "Studio",
    project: gr.State,
    drawn: SamplingControls,
    outputs: list[Any],
    make: gr.Button,
    fields: tuple[Any, ...],
) -> None:
    def run(
        request: gr.Request,
        project: int | None,
        start: Start,
        prompt: str | None,
        number: float,
        seed: str | None,
        t0: float,
        guidance: str | None,
        steps: float,
        spacing: Spacing,
        sampler: Sampler,
        codes: Codes,
        novelty: float,
        use: Any,
        strength: float | None,
        progress: gr.Progress = PROGRESS,
    ) -> tuple[Any, ...]:
        drawn = (t0, guidance, steps, spacing, sampler, codes, novelty, use, strength)
        return on_new_pictures(
            studio, project, start, prompt, number, seed, drawn, visitor_of(request), progress
        )

    make.click(run, [project, *fields, *drawn.inputs], outputs, **PRIVATE)


def _wire_near(
    studio: "Studio",
    project: gr.State,
    drawn: SamplingControls,
    outputs: list[Any],
    near: gr.Button,
    fields: tuple[Any, ...],
) -> None:
    picked = outputs[3]

    def run(
        request: gr.Request,
        project: int | None,
        picked: Any,
        number: float,
        spread: float,
        t0: float,
        guidance: str | None,
        steps: float,
        spacing: Spacing,
        sampler: Sampler,
        codes: Codes,
        novelty: float,
        use: Any,
        strength: float | None,
        progress: gr.Progress = PROGRESS,
    ) -> tuple[Any, ...]:
        drawn = (t0, guidance, steps, spacing, sampler, codes, novelty, use, strength)
        return on_near(
            studio, project, picked, number, spread, drawn, visitor_of(request), progress
        )

    near.click(run, [project, picked, *fields, *drawn.inputs], outputs, **PRIVATE)


def on_start(start: Start) -> Any:
    """The words belong to a start from the word."""
    return gr.update(visible=start == "prompt")


@shown_to_user
def on_new_pictures(
    studio: "Studio",
    project: int | None,
    start: Start,
    prompt: str | None,
    number: float | None,
    seed: str | None,
    drawn: tuple[Any, ...],
    visitor: str = "",
    progress: gr.Progress = PROGRESS,
) -> tuple[Any, ...]:
    is_prompt = start == "prompt"
    how = read_sampling_controls(drawn)
    if is_prompt:
        how |= {"t0": None, "prompt": any_text(prompt)}
    request = SampleRequest(
        kind=start, num_images=whole_in("Pictures", number), seed=seed_in(seed), **how
    )
    progress(0, desc="Waking the model")
    views = studio.sampling.sample(
        chosen(project), request, progress_callback(progress), visitor=visitor
    )
    return shown_updates(views)


@shown_to_user
def on_near(
    studio: "Studio",
    project: int | None,
    picked: tuple[str, str] | None,
    number: float | None,
    spread: float,
    drawn: tuple[Any, ...],
    visitor: str = "",
    progress: gr.Progress = PROGRESS,
) -> tuple[Any, ...]:
    """New pictures near the one that was clicked."""
    if picked is None:
        raise InvalidInputError(NONE_CHOSEN)
    request = PointRequest.near(
        picked[0],
        spread=spread,
        num_images=whole_in("Pictures", number),
        **read_sampling_controls(drawn),
    )
    progress(0, desc="Waking the model")
    views = studio.explore.near(
        chosen(project), request, progress_callback(progress), visitor=visitor
    )
    return shown_updates(views)


def shown_updates(views: Sequence[GenerationView]) -> tuple[Any, ...]:
    """The pictures, none of them chosen."""
    made = tuple((f"made:{view.id}", str(view.thumbnail), f"seed {view.seed}") for view in views)
    return (
        gr.update(visible=bool(views)),
        gr.update(value=captioned(views), selected_index=None),
        made,
        None,
        f'<p class="quiet">{CHOOSE}</p>',
    )


def on_pick(made: Sequence[tuple[str, str, str]], index: int) -> tuple[Any, str]:
    ref, picture, caption = made[index]
    return (ref, picture), f'<p class="quiet">Chosen: {caption}.</p>'
