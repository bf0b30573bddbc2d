"""The Studio screen as it stood when a picture was asked for."""

from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from dyod_studio.services.sampling.service import square_of
from dyod_studio.ui.common.controls import LEAST_STEPS, MOST_STEPS
from dyod_studio.ui.common.handlers import shown_to_user
from dyod_studio.ui.draw.canvas import SIDE, marked_layer
from dyod_studio.ui.draw.canvas_panel import digest_of

if TYPE_CHECKING:
    from dyod_studio.services.gallery.views import Provenance

NAMES = (
    "canvas", "region", "under", "region_note", "t0", "number", "seed", "is_locked", "prompt",
    "guidance", "steps", "use", "strength", "references", "mask_rate", "condition_text",
    "text_weight",
)  # fmt: skip
"""What is given a new value, in the order of ``restore_updates``."""


@shown_to_user
def restore_updates(view: "Provenance | None") -> tuple[Any, ...]:
    """New values of the fields; nothing changes when another screen made the picture."""
    if view is None or view.screen != "studio":
        return (gr.skip(),) * len(NAMES)
    values = {**_pictures(view), **_settings(view)}
    return tuple(values[name] for name in NAMES)


def _settings(view: "Provenance") -> dict[str, Any]:
    parameters = view.parameters
    guidance, steps = parameters["guidance_scale"], parameters["num_inference_steps"]
    return {
        "t0": parameters["t0"],
        "number": parameters.get("num_images", 1),
        "seed": str(parameters["seed"]),
        "is_locked": True,
        "prompt": parameters["prompt"] or "",
        "guidance": "" if guidance is None else f"{guidance:.15g}",
        "steps": gr.update(
            value=steps, minimum=min(LEAST_STEPS, steps), maximum=max(MOST_STEPS, steps)
        ),
        "use": list(view.use),
        "strength": parameters["adapter_strength"],
        "mask_rate": parameters["mask_rate"],
        "condition_text": parameters["condition_text"] or "",
        "text_weight": parameters["text_weight"],
    }


def _pictures(view: "Provenance") -> dict[str, Any]:
    """The sketch, the region over it and the references; the sketch stays if it is gone."""
    found: dict[str, Any] = {
        "canvas": gr.skip(),
        "region": None,
        "under": "",
        "region_note": gr.update(visible="region" in view.inputs),
        "references": [(str(path), None) for path in view.conditions] or None,
    }
    if "image" in view.inputs:
        sketch = square_of(view.inputs["image"])
        found["canvas"] = sketch
        if "region" in view.inputs:
            layer = marked_layer(square_of(view.inputs["region"], is_mask=True))
            large = sketch.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            found["region"] = {"background": large, "layers": [layer], "composite": None}
            found["under"] = digest_of(sketch)
    return found
