"""The Draw screen's fields, and the request that they mean.

A field has the name that its value has in the request; beside those stand ``project``, both
canvases, ``is_locked`` (keep the seed) and ``references``. A field that was never in sight
arrives as None.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.requests.sampling import IMAGE, REGION, SampleRequest
from dyod_studio.ui.common.controls import any_text, guidance_in, seed_in, whole_in
from dyod_studio.ui.common.handlers import chosen
from dyod_studio.ui.common.part_picker import read_parts
from dyod_studio.ui.draw.canvas import (
    CanvasTransfer,
    region_from_canvas,
    saved,
    sketch_from_canvas,
)

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

MAX_NEW_SEED = 2**31
Fields = Mapping[str, Any]
"""Name of a field -> component."""
Values = Mapping[str, Any]
"""Name of a field -> its value."""


def read_form(fields: Fields, data: Mapping[Any, Any], transfer: CanvasTransfer) -> dict[str, Any]:
    """The values of the fields, from what Gradio hands over for the ``form_inputs``."""
    canvas, region = transfer.read(data[transfer.transferred])
    values = {name: data[component] for name, component in fields.items() if component in data}
    return {"canvas": canvas, "region": region, **values}


def form_inputs(fields: Fields, transfer: CanvasTransfer) -> set[Any]:
    """The fields, and in place of both canvases what was fetched from them."""
    return {*fields.values(), transfer.transferred} - {transfer.canvas, transfer.region}


def seed_for(values: Values) -> int:
    """The locked seed; a new one when it is not locked, or none was typed."""
    typed = seed_in(values.get("seed"))
    is_locked = values.get("is_locked") and typed is not None
    return typed if is_locked and typed is not None else secrets.randbelow(MAX_NEW_SEED)


@contextmanager
def request_for(
    studio: "Studio", scratch: Path, values: Values, **changes: Any
) -> Iterator[SampleRequest]:
    """The request that the fields mean; its pictures lie on the disk within the block.

    Raises:
        InvalidInputError: a field cannot be read, or the canvas is empty.
    """
    sketch = sketch_from_canvas(values.get("canvas"))
    region = region_from_canvas(values.get("region"))
    trained = studio.projects.get(chosen(values.get("project"))).artifacts
    parts = read_parts(trained, values)
    with ExitStack() as stack:
        parts["inputs"][IMAGE] = stack.enter_context(saved(sketch, scratch))
        if region is not None:
            parts["inputs"][REGION] = stack.enter_context(saved(region, scratch))
        request = SampleRequest(
            kind="image",
            t0=values.get("t0", 0.5),
            num_images=whole_in("Pictures", values.get("num_images", 1)),
            guidance_scale=guidance_in(values.get("guidance_scale")),
            num_inference_steps=whole_in("Steps", values.get("num_inference_steps", 50)),
            prompt=any_text(values.get("prompt")),
            seed=seed_for(values),
            **parts,
        )
        yield request.replace(**changes)


def visitor_of(request: gr.Request | None) -> str:
    """Name of this browser window within the studio."""
    return "" if request is None else str(request.session_hash)
