"""The settings that every way of making pictures shares."""

from abc import ABCMeta
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.requests.part_kinds import PART_KINDS
from dyod_studio.requests.sampling import DEFAULT_SAMPLER, SamplingRequest
from dyod_studio.requests.titles import SAMPLERS, field_title
from dyod_studio.requests.validation import bounds_of
from dyod_studio.services.views import GenerationView
from dyod_studio.ui.common.html import note

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

LEAST_STEPS, MOST_STEPS = 5, 100
SPACINGS = [("Down from t0", "trailing"), ("The base model's own", "scheduler")]


def _read_slider(self: Any, payload: float | None) -> float:
    if payload is None:
        raise gr.Error(f"{self.label} is empty: type a number.", print_exception=False)
    value: float = gr.Slider.preprocess(self, payload)
    return value


Slider: Any = ABCMeta.__new__(
    type(gr.Slider), "Slider", (gr.Slider,), {"is_template": True, "preprocess": _read_slider}
)
"""A gr.Slider that says in a sentence what is wrong when its number field was emptied.

Made by hand, for a class statement has Gradio write an interface file beside this module.
"""


class FineControls(NamedTuple):
    """Controls that are rarely needed."""

    guidance_scale: gr.Textbox
    num_inference_steps: gr.Slider
    timestep_spacing: gr.Radio
    sampler: gr.Dropdown


def field_slider(
    model: type[SamplingRequest],
    name: str,
    *,
    least: float | None = None,
    most: float | None = None,
    **options: Any,
) -> gr.Slider:
    """A slider over a field of a request: its bounds, its title and its default.

    Args:
        least, most: where the slider ends, inside the field's own bounds.
        options: of ``gr.Slider``.
    """
    bounds, field = bounds_of(model, name), model.model_fields[name]
    low = max(bound for bound in (bounds.low, least) if bound is not None)
    high = min(bound for bound in (bounds.high, most) if bound is not None)
    given = {"label": field.title, "value": field.default, **options}
    return Slider(low, high, **given)


def t0_slider(info: str, value: float, elem_id: str) -> gr.Slider:
    return field_slider(SamplingRequest, "t0", value=value, step=0.05, info=info, elem_id=elem_id)


def seed_field(elem_id: str) -> gr.Textbox:
    """A text field: a number field cannot be left empty, and rounds large numbers."""
    return gr.Textbox(
        label="Seed", info="Same number, same picture.", placeholder="a new one each time",
        max_lines=1, elem_id=elem_id, min_width=140,
    )  # fmt: skip


def build_fine_controls(elem_id: str) -> FineControls:
    with gr.Accordion("Fine controls", open=False):
        guidance = gr.Textbox(
            label="Guidance", placeholder="the base model's own", max_lines=1,
            elem_id=f"{elem_id}-guidance",
            info="How strictly the learned style is followed (guidance scale); 1 is off.",
        )  # fmt: skip
        steps = field_slider(
            SamplingRequest, "num_inference_steps", least=LEAST_STEPS, most=MOST_STEPS, step=1,
            elem_id=f"{elem_id}-steps",
            info="More is slower, and DDIM wants 50 for what DPM++ does in 18 (inference steps).",
        )  # fmt: skip
        spacing = gr.Radio(
            SPACINGS, value="trailing", label=field_title("timestep_spacing"),
            elem_id=f"{elem_id}-spacing",
            info="From t0: the same start at any number of steps (trailing).",
        )  # fmt: skip
        sampler = gr.Dropdown(
            [(title, name) for name, title in SAMPLERS.items()], value=DEFAULT_SAMPLER,
            label=field_title("sampler"), filterable=False, elem_id=f"{elem_id}-sampler",
            info="DPM++ and UniPC need fewer steps; DDPM and Euler a add noise on the way; "
            "LCM needs an LCM-LoRA.",
        )  # fmt: skip
    return FineControls(guidance, steps, spacing, sampler)


def captioned(views: Sequence[GenerationView]) -> list[tuple[str, str]]:
    """Pictures for a gallery, each under its seed."""
    return [(str(view.file), f"seed {view.seed}") for view in views]


def training_note(studio: "Studio", project: int | None, needed: Sequence[str]) -> str:
    """A hint when a part is missing that this screen draws with, or the style; else nothing."""
    if project is None:
        return ""
    view = studio.projects.get(project)
    has_style = any(not PART_KINDS[kind].makes_starts for kind in view.default_parts)
    if has_style and all(kind in view.artifacts for kind in needed):
        return ""
    if not view.artifacts:
        return note("This project has not learned anything yet. Go to Train first.")
    return note("One part is still missing here: train both on the Train screen.")


PAGE_SIZE = 60


class Pager(NamedTuple):
    """The components; ``offset`` holds the index of the page's first picture."""

    row: gr.Row
    offset: gr.State
    before: gr.Button
    where: gr.HTML
    after: gr.Button


def build_pager(before: str, after: str, elem_id: str) -> Pager:
    with gr.Row(elem_classes="pager", visible=False) as row:
        offset = gr.State(0)
        left = gr.Button(before, size="sm", min_width=90, scale=0, elem_id=f"{elem_id}-before")
        where = gr.HTML(elem_classes="where", padding=False)
        right = gr.Button(after, size="sm", min_width=90, scale=0, elem_id=f"{elem_id}-after")
    return Pager(row, offset, left, where, right)


def turned(offset: int, pages: int, total: int) -> int:
    """The offset ``pages`` further on, kept within the pictures there are."""
    last = max(0, (total - 1) // PAGE_SIZE) * PAGE_SIZE
    return min(max(0, offset + pages * PAGE_SIZE), last)


def pager_updates(offset: int, total: int) -> tuple[Any, int, Any, str, Any]:
    """New values of a Pager's components."""
    last = min(offset + PAGE_SIZE, total)
    return (
        gr.update(visible=total > PAGE_SIZE),
        offset,
        gr.update(interactive=offset > 0),
        f"{offset + 1:,} to {last:,} of {total:,}",
        gr.update(interactive=last < total),
    )
