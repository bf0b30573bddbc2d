"""All that stands on the Studio screen when a button is pressed, and the request it means."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.requests.sampling import SampleSettings
from dyod_studio.ui.common.controls import any_text, guidance_in, seed_in, whole_in
from dyod_studio.ui.common.handlers import chosen
from dyod_studio.ui.common.part_picker import wishes
from dyod_studio.ui.draw.canvas import (
    Canvas,
    CanvasTransfer,
    region_from_canvas,
    saved,
    sketch_from_canvas,
)

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

MAX_NEW_SEED = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The values of the screen's fields; a field that was never in sight arrives as None."""

    project: int | None
    canvas: Canvas = None
    region: Canvas = None
    t0: float | None = 0.5
    number: float | None = 1
    seed: str | None = None
    is_locked: bool | None = False
    prompt: str | None = None
    guidance: str | None = None
    steps: float | None = 50
    use: Sequence[str] | None = None
    strength: float | None = None
    references: Sequence[tuple[str, str | None]] | None = None
    mask_rate: float | None = None
    condition_text: str | None = None
    text_weight: float | None = None


Fields = Mapping[str, Any]
"""Name in ``Wish`` -> component."""


def read_wish(fields: Fields, data: Mapping[Any, Any], transfer: CanvasTransfer) -> Wish:
    """The wish from what Gradio hands over for the ``wish_inputs``."""
    canvas, region = transfer.read(data[transfer.transferred])
    values = {name: data[component] for name, component in fields.items() if component in data}
    return Wish(canvas=canvas, region=region, **values)


def wish_inputs(fields: Fields, transfer: CanvasTransfer) -> set[Any]:
    """The fields, and in place of both canvases what was fetched from them."""
    return {*fields.values(), transfer.transferred} - {transfer.canvas, transfer.region}


def seed_for(wish: Wish) -> int:
    """The locked seed; a new one when it is not locked, or none was typed."""
    typed = seed_in(wish.seed)
    return typed if wish.is_locked and typed is not None else secrets.randbelow(MAX_NEW_SEED)


@contextmanager
def request_for(
    studio: "Studio", scratch: Path, wish: Wish, **changes: Any
) -> Iterator[SampleSettings]:
    """The settings that the wish means; their pictures lie on the disk within the block.

    Raises:
        InvalidInputError: a field cannot be read, or the canvas is empty.
    """
    sketch, region = sketch_from_canvas(wish.canvas), region_from_canvas(wish.region)
    trained = studio.projects.get(chosen(wish.project)).artifacts
    values: dict[str, Any] = {
        "t0": wish.t0,
        "num_images": whole_in("Pictures", wish.number),
        "guidance_scale": guidance_in(wish.guidance),
        "num_inference_steps": whole_in("Steps", wish.steps),
        "prompt": any_text(wish.prompt),
        **wishes(
            trained, wish.use, wish.strength, wish.references, wish.mask_rate,
            wish.condition_text, wish.text_weight,
        ),
    }  # fmt: skip
    with ExitStack() as stack:
        values["image"] = stack.enter_context(saved(sketch, scratch))
        if region is not None:
            values["region"] = stack.enter_context(saved(region, scratch))
        values |= {"seed": seed_for(wish), **changes}
        yield SampleSettings(start="image", **values)


def visitor_of(request: gr.Request | None) -> str:
    """What the studio calls this browser window."""
    return "" if request is None else str(request.session_hash)
