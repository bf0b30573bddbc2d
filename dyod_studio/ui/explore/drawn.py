"""How everything on the Explore screen is drawn: t0, trained parts, fine controls."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.services.parts import ADAPTERS, MAIN, PARTS, usual_parts
from dyod_studio.studio.sampling.requests import Denoising
from dyod_studio.ui.controls import Slider, build_fine_controls, t0_slider
from dyod_studio.ui.job_pieces import method_name
from dyod_studio.ui.typed import guidance_in, whole_in
from dyod_studio.ui.wiring import SILENT

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio


class Drawn(NamedTuple):
    """The controls; ``use`` holds the parts on the server, None as long as none were chosen."""

    t0: gr.Slider
    guidance: gr.Textbox
    steps: gr.Slider
    use: gr.State
    strength: gr.Slider
    kinds: gr.CheckboxGroup

    @property
    def inputs(self) -> list[Any]:
        """What ``drawn_in`` is given."""
        return list(self[:5])


def build_drawn(studio: "Studio", project: gr.State, tab: gr.Tab) -> Drawn:
    """Lay out the row above the three ways to explore, and wire the choice of parts."""
    use, shown = gr.State(None), gr.State({})
    with gr.Row(elem_id="explore-drawn"):
        with gr.Column(scale=2, min_width=300):
            t0 = t0_slider(
                "How much may change",
                "Left: the bare shape it begins with. Right: only the style counts (t0).",
                0.5, "explore-t0",
            )  # fmt: skip
        with gr.Column(scale=2, min_width=300, visible=False) as panel:
            kinds = gr.CheckboxGroup(
                label="Trained parts to use", elem_id="explore-parts",
                info="Beside the shape model, which draws what everything here begins with.",
            )  # fmt: skip
            strength = Slider(
                0, 1, value=1, step=0.05, label="Strength", visible=False,
                elem_id="explore-strength",
                info="Of what these parts change; 0 is the base model's own way.",
            )  # fmt: skip
        with gr.Column(scale=1, min_width=260):
            fine = build_fine_controls("explore")
    gr.on(
        [project.change, tab.select], partial(show_choice, studio), [project, shown],
        [panel, kinds, strength, use, shown], **SILENT,
    )  # fmt: skip
    kinds.input(on_choose_kinds, kinds, [use, strength], **SILENT)
    return Drawn(t0, fine.guidance, fine.steps, use, strength, kinds)


def show_choice(studio: "Studio", project: int | None, shown: dict[str, Any]) -> Any:
    """What is trained, with the usual parts chosen; nothing is sent again that the page shows."""
    trained = studio.projects.get(project).artifacts if project is not None else ()
    kinds = [kind for kind in PARTS if kind in trained and kind != "vae"]
    now = {"project": project, "kinds": kinds}
    if now == shown:
        return gr.skip()
    usual = [kind for kind in usual_parts(trained) if kind in kinds]
    return (
        gr.update(visible=any(kind in MAIN for kind in kinds)),
        gr.update(choices=[(method_name(kind), kind) for kind in kinds], value=usual),
        _strength(usual),
        None,
        now,
    )


def on_choose_kinds(kinds: Sequence[str] | None) -> tuple[list[str], Any]:
    """The choice made by hand; strength counts with what changes the U-Net."""
    chosen = list(kinds or ())
    return chosen, _strength(chosen)


def _strength(kinds: Sequence[str]) -> Any:
    return gr.update(visible=any(kind in ADAPTERS for kind in kinds))


def drawn_in(
    t0: float | None, guidance: str | None, steps: float | None, use: Sequence[str] | None,
    strength: float | None,
) -> dict[str, Any]:  # fmt: skip
    """The controls as settings of any request."""
    return {
        "t0": t0,
        "guidance_scale": guidance_in(guidance),
        "num_inference_steps": whole_in("Steps", steps),
        "use": None if use is None else tuple(use),
        "strength": 1.0 if strength is None else strength,
    }


def drawn_updates(settings: Denoising) -> tuple[Any, ...]:
    """The controls as they stood when something was drawn, in the order of a Drawn."""
    guidance = settings.guidance_scale
    kinds = None if settings.use is None else [kind for kind in settings.use if kind != "vae"]
    return (
        0.5 if settings.t0 is None else settings.t0,
        "" if guidance is None else f"{guidance:g}",
        settings.num_inference_steps,
        kinds,
        gr.update(value=settings.strength) if kinds is None else _strength_of(settings, kinds),
        gr.skip() if kinds is None else kinds,
    )


def _strength_of(settings: Denoising, kinds: Sequence[str]) -> Any:
    return {**_strength(kinds), "value": settings.strength}
