"""The Studio screen as it stood when a picture was asked for."""

from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from dyod_studio.requests.sampling import CONTROL, IMAGE, AnyRequest, SampleRequest
from dyod_studio.services.sampling.service import square_of
from dyod_studio.ui.common.controls import LEAST_STEPS, MOST_STEPS
from dyod_studio.ui.common.handlers import shown_to_user
from dyod_studio.ui.draw.canvas_panel import digest_of
from dyod_studio.ui.draw.form import SIDE, marked_layer

if TYPE_CHECKING:
    from dyod_studio.services.views import Provenance

NAMES = (
    "canvas", "region", "under", "region_note", "t0", "num_images", "seed", "is_locked", "prompt",
    "guidance_scale", "num_inference_steps", "timestep_spacing", "sampler", "use",
    "adapter_strength",
    "references", "mask_rate", "condition_text", "text_weight", "lines_lead", "line_controls",
    "control_scale", "control_until",
)  # fmt: skip
"""What is given a new value, in the order of ``restore_updates``."""
LINES = ("lines_lead", "line_controls", "control_scale", "control_until")


@shown_to_user
def restore_updates(view: "Provenance | None") -> tuple[Any, ...]:
    """New values of the fields; nothing changes when another screen made the picture."""
    if view is None or view.screen != "studio":
        return (gr.skip(),) * len(NAMES)
    values = {**_pictures(view.request), **_settings(view.request)}
    return tuple(values[name] for name in NAMES)


def _settings(request: AnyRequest) -> dict[str, Any]:
    guidance, steps = request.guidance_scale, request.num_inference_steps
    return {
        "t0": request.t0,
        "num_images": request.num_images if isinstance(request, SampleRequest) else 1,
        "seed": str(request.seed),
        "is_locked": True,
        "prompt": request.prompt or "",
        "guidance_scale": "" if guidance is None else f"{guidance:.15g}",
        "num_inference_steps": gr.update(
            value=steps, minimum=min(LEAST_STEPS, steps), maximum=max(MOST_STEPS, steps)
        ),
        "timestep_spacing": request.timestep_spacing,
        "sampler": request.sampler,
        "use": list(request.use or ()),
        "adapter_strength": request.adapter_strength,
        "mask_rate": request.mask_rate,
        "condition_text": request.condition_text or "",
        "text_weight": request.text_weight,
        **_lines(request),
    }


def _lines(request: AnyRequest) -> dict[str, Any]:
    if not isinstance(request, SampleRequest):
        return dict.fromkeys(LINES, gr.skip())
    lead = CONTROL in request.inputs
    values = (lead, gr.update(visible=lead), request.control_scale, request.control_until)
    return dict(zip(LINES, values, strict=True))


def _pictures(request: AnyRequest) -> dict[str, Any]:
    """The sketch, the region over it and the references; the sketch stays if it is gone."""
    found: dict[str, Any] = {
        "canvas": None if request.kind != "image" else gr.skip(),
        "region": None,
        "under": "",
        "region_note": gr.update(visible="region" in request.inputs),
        "references": [(str(path), None) for path in request.conditions] or None,
    }
    drawn = request.inputs.get(IMAGE, request.inputs.get(CONTROL))
    if drawn is not None:
        sketch = square_of(drawn)
        found["canvas"] = sketch
        if "region" in request.inputs:
            layer = marked_layer(square_of(request.inputs["region"], is_mask=True))
            large = sketch.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            found["region"] = {"background": large, "layers": [layer], "composite": None}
            found["under"] = digest_of(sketch)
    return found
