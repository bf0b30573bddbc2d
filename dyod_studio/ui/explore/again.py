"""The Explore screen as it stood when a picture was asked for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.services.explore.views import NUM_TRAITS, SPAN
from dyod_studio.studio.sampling.requests import Denoising
from dyod_studio.ui.errors import shown_to_user
from dyod_studio.ui.explore.between import FIXED, FREE, ROUND, STRAIGHT, Between
from dyod_studio.ui.explore.drawn import Drawn, drawn_updates
from dyod_studio.ui.explore.new import New
from dyod_studio.ui.explore.picks import ends_updates
from dyod_studio.ui.explore.traits import AVERAGE, Traits, where_html

if TYPE_CHECKING:
    from dyod_studio.services.gallery.views import AgainView

WAYS = {"interpolation": "between", "place": "traits", "traversal": "traits"}
"""Which of the three ways makes pictures of a kind; the others are new pictures."""
NUM_DRAWN, NUM_NEW, NUM_BETWEEN = 6, 4, 7


def again_outputs(
    ways: gr.Tabs, drawn: Drawn, new: New, between: Between, traits: Traits
) -> list[Any]:
    """What ``again_updates`` fills."""
    picks = between.picks
    return [
        ways, *drawn, *new.fields, picks.ends, picks.turn, *picks.shown, *between.settings,
        traits.origin, traits.where, *traits.sliders,
    ]  # fmt: skip


@shown_to_user
def again_updates(view: "AgainView | None") -> tuple[Any, ...]:
    """New values of the fields; nothing changes when another screen made the picture."""
    num_outputs = 1 + NUM_DRAWN + NUM_NEW + NUM_BETWEEN + 2 + NUM_TRAITS
    if view is None or view.screen != "explore":
        return (gr.skip(),) * num_outputs
    said, way = view.parameters, WAYS.get(view.kind, "new")
    settings = Denoising(
        t0=said["t0"], guidance_scale=said["guidance_scale"], use=view.use,
        num_inference_steps=said["num_inference_steps"], strength=said["adapter_strength"],
    )  # fmt: skip
    return (
        gr.update(selected=way),
        *drawn_updates(settings),
        *(_new(view) if way == "new" else (gr.skip(),) * NUM_NEW),
        *(_between(view) if way == "between" else (gr.skip(),) * NUM_BETWEEN),
        *(_place(said) if way == "traits" else (gr.skip(),) * (2 + NUM_TRAITS)),
    )


def _new(view: "AgainView") -> tuple[Any, ...]:
    said = view.parameters
    start = "prompt" if view.kind == "prompt" else "distribution"
    prompt = gr.update(value=said["prompt"] or "", visible=start == "prompt")
    number = said.get("num_images", len(said.get("places", [None])))
    return start, prompt, number, str(said["seed"])


def _between(view: "AgainView") -> tuple[Any, ...]:
    said = view.parameters
    ends = {name: _end(view, key) for name, key in (("A", "a"), ("B", "b"))}
    return (
        *ends_updates(ends, "A"),
        said["num_frames"],
        FREE if said["free_noise"] else FIXED,
        ROUND if said["is_spherical"] else STRAIGHT,
    )


def _end(view: "AgainView", key: str) -> dict[str, Any] | None:
    """An end is a file that is still there, or a seed."""
    if key in view.inputs:
        path = str(view.inputs[key])
        return {"ref": path, "picture": path}
    told = str(view.parameters[key])
    return {"ref": told, "picture": None} if told.startswith("seed:") else None


def _place(said: Mapping[str, Any]) -> tuple[Any, ...]:
    """Where the sliders stood; a picture that they began at is not found again: the average."""
    origin = str(said.get("origin", f"seed:{said['seed']}"))
    if origin != AVERAGE and not origin.startswith("seed:"):
        origin = AVERAGE
    moved = {int(rank): value for rank, value in (said.get("places") or [{}])[0].items()}
    values = [max(-SPAN, min(SPAN, moved.get(rank, 0.0))) for rank in range(NUM_TRAITS)]
    return origin, where_html(origin), *values
