"""Which trained parts a picture is drawn with, and the pictures that an ANL draws after.

Nothing of this is in sight while only the style word and the shape model are trained.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.requests.part_kinds import selectable_kinds, standalone_kinds, unet_kinds
from dyod_studio.requests.sampling import DEFAULT_SAMPLER, STRIP_KINDS, SamplingRequest, default_t0
from dyod_studio.requests.titles import field_title
from dyod_studio.ui.common.controls import (
    build_fine_controls,
    field_slider,
    t0_slider,
)
from dyod_studio.ui.common.handlers import SILENT, guidance_in, whole_in
from dyod_studio.ui.common.run_html import method_name

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

MOST_MASKED = 0.9
CODES = [
    ("Each near a picture of the set", "near"),
    ("Like those of the set", "set"),
    ("Anywhere, as in the paper", "prior"),
]
TURNS = (
    '<div class="heading"><p>Reference pictures: it draws after them, in turn; with an empty '
    "canvas, new pictures near them.</p></div>"
)

SHOWN_ONLY = ("kinds", "conditioning")
ShownParts = Mapping[str, Any]
"""What the page shows already: the project and the parts that can be chosen."""


class PartControls(NamedTuple):
    """The choice; ``use`` holds it on the server: None as long as nothing was chosen by hand."""

    kinds: gr.CheckboxGroup
    conditioning: gr.Column
    use: gr.State
    adapter_strength: gr.Slider
    references: gr.Gallery
    mask_rate: gr.Slider
    condition_text: gr.Textbox
    text_weight: gr.Slider

    @property
    def fields(self) -> dict[str, Any]:
        """Name of a field -> component."""
        return {name: part for name, part in self._asdict().items() if name not in SHOWN_ONLY}


def build_parts(studio: "Studio", project: gr.State, tab: gr.Tab) -> PartControls:
    """Lay out the choice and wire it; it is filled when the screen comes into sight."""
    use, shown = gr.State(None), gr.State({})
    with gr.Accordion("Trained parts to use", open=True, visible=False, elem_id="parts") as panel:
        kinds = gr.CheckboxGroup(show_label=False, container=False, elem_id="parts-use")
        strength = field_slider(
            SamplingRequest, "adapter_strength", step=0.05, visible=False,
            elem_id="parts-strength",
            info="Of what these parts change; 0 is the base model's own way.",
        )  # fmt: skip
        with gr.Column(visible=False, elem_id="parts-references") as conditioning:
            gr.HTML(TURNS)
            references = gr.Gallery(
                label="Reference pictures", show_label=False, type="filepath", file_types=["image"],
                columns=3, height=180, object_fit="contain", buttons=[], interactive=True,
                elem_id="references",
            )  # fmt: skip
            mask_rate = field_slider(
                SamplingRequest, "mask_rate", most=MOST_MASKED, step=0.05, elem_id="mask-rate",
                info="Left: closely. Right: only glimpses of it are seen (mask rate).",
            )  # fmt: skip
            condition_text = gr.Textbox(
                label="Or in words", max_lines=1, placeholder="a red one", elem_id="condition-text",
                info="Read in the same way as a reference picture (condition text).",
            )  # fmt: skip
            text_weight = field_slider(
                SamplingRequest, "text_weight", step=0.05, elem_id="text-weight",
                info="Left: the pictures count. Right: the words (text weight).",
            )  # fmt: skip
    gr.on(
        [project.change, tab.select], partial(show_parts, studio), [project, shown, use],
        [panel, kinds, strength, conditioning, references, use, shown], **SILENT,
    )  # fmt: skip
    kinds.input(on_choose, kinds, [use, strength, conditioning], **SILENT)
    return PartControls(
        kinds, conditioning, use, strength, references, mask_rate, condition_text, text_weight
    )


def show_parts(
    studio: "Studio", project: int | None, shown: ShownParts, use: Sequence[str] | None = None
) -> Any:
    """Show what is trained, with the usual parts chosen; nothing that the page shows is sent again.

    A choice that was made before this screen was ever in sight, by going back to how a picture
    was made, stays.
    """
    trained, usual, imported = _trained(studio, project)
    kinds = [kind for kind in selectable_kinds() if kind in trained]
    now = {"project": project, "kinds": kinds}
    if now == shown:
        return gr.skip()
    is_first, is_other = not shown, shown.get("project") != project
    proposed = use if is_first and use is not None else usual
    usual = [kind for kind in proposed if kind in kinds]
    return (
        gr.update(visible=any(kind in standalone_kinds() for kind in kinds)),
        gr.update(choices=_named(kinds, imported), value=usual),
        *_in_sight(usual),
        None if is_other and not is_first else gr.skip(),
        gr.skip() if is_first else None,
        now,
    )


def _trained(studio: "Studio", project: int | None) -> tuple[Sequence[str], ...]:
    """The kinds that are there, those that are used where none are named, and the imported."""
    if project is None:
        return (), (), ()
    view = studio.projects.get(project)
    return view.artifacts, view.default_parts, view.imported


def _named(kinds: Sequence[str], imported: Sequence[str]) -> list[tuple[str, str]]:
    return [(method_name(kind, is_imported=kind in imported), kind) for kind in kinds]


def on_choose(kinds: Sequence[str] | None) -> tuple[list[str], Any, Any]:
    """The choice made by hand, and the controls that count with it."""
    chosen = list(kinds or ())
    return chosen, *_in_sight(chosen)


def show_use(use: Sequence[str] | None) -> tuple[Any, Any, Any]:
    """The boxes and the controls that go with a choice that was not made by hand."""
    chosen = [kind for kind in use or () if kind != "vae"]
    return gr.update(value=chosen), *_in_sight(chosen)


def _in_sight(chosen: Sequence[str]) -> tuple[Any, Any]:
    """Strength belongs to what changes the U-Net, references to an ANL alone."""
    return (
        gr.update(visible=any(kind in unet_kinds() for kind in chosen)),
        gr.update(visible="anl" in chosen),
    )


class SamplingControls(NamedTuple):
    """The controls.

    ``use`` holds the parts on the server, None as long as none were chosen; ``for_strips`` whether
    t0 stands for strips of frames, which need another one than new pictures.
    """

    t0: gr.Slider
    guidance_scale: gr.Textbox
    num_inference_steps: gr.Slider
    timestep_spacing: gr.Radio
    sampler: gr.Dropdown
    codes: gr.Radio
    novelty: gr.Slider
    use: gr.State
    adapter_strength: gr.Slider
    kinds: gr.CheckboxGroup
    for_strips: gr.State

    @property
    def inputs(self) -> list[Any]:
        """Components that ``read_sampling_controls`` is given."""
        return list(self[:-2])


def build_sampling_controls(studio: "Studio", project: gr.State, tab: gr.Tab) -> SamplingControls:
    """Lay out the row above the three ways to explore, and wire the choice of parts."""
    use, shown, for_strips = gr.State(None), gr.State({}), gr.State(False)
    with gr.Row(elem_id="explore-drawn"):
        with gr.Column(scale=2, min_width=300):
            t0 = t0_slider(
                "Left: the bare shape it begins with. Right: only the style counts (t0).",
                0.5, "explore-t0",
            )  # fmt: skip
        with gr.Column(scale=2, min_width=300, visible=False) as panel:
            kinds = gr.CheckboxGroup(
                label="Trained parts to use", elem_id="explore-parts",
                info="Beside the shape model, which draws what everything here begins with.",
            )  # fmt: skip
            strength = field_slider(
                SamplingRequest, "adapter_strength", step=0.05, visible=False,
                elem_id="explore-strength",
                info="Of what these parts change; 0 is the base model's own way.",
            )  # fmt: skip
        with gr.Column(scale=2, min_width=280):
            codes = gr.Radio(
                CODES, value="near", label=field_title("codes"), elem_id="explore-codes",
                info="Where the shape model takes them from (codes).",
            )  # fmt: skip
            novelty = field_slider(
                SamplingRequest, "novelty", step=0.05, elem_id="explore-novelty",
                info="Left: nearly that picture. Right: anywhere.",
            )  # fmt: skip
        with gr.Column(scale=1, min_width=260):
            fine = build_fine_controls("explore")
    gr.on(
        [project.change, tab.select], partial(show_choice, studio), [project, shown, for_strips],
        [panel, kinds, strength, use, shown, t0], **SILENT,
    )  # fmt: skip
    kinds.input(on_choose_kinds, kinds, [use, strength], **SILENT)
    codes.change(lambda codes: gr.update(visible=codes == "near"), codes, novelty, **SILENT)
    return SamplingControls(t0, *fine, codes, novelty, use, strength, kinds, for_strips)


def show_choice(
    studio: "Studio", project: int | None, shown: dict[str, Any], for_strips: bool = False
) -> Any:
    """Show what is trained, with the usual parts chosen; what the page shows is not sent again."""
    trained, usual, imported = _trained(studio, project)
    kinds = [kind for kind in selectable_kinds() if kind in trained]
    now = {"project": project, "kinds": kinds}
    if now == shown:
        return gr.skip()
    usual = [kind for kind in usual if kind in kinds]
    return (
        gr.update(visible=any(kind in standalone_kinds() for kind in kinds)),
        gr.update(choices=_named(kinds, imported), value=usual),
        _strength(usual),
        None,
        now,
        _t0(studio, project, for_strips),
    )


def usual_t0(studio: "Studio", project: int, kind: str) -> float:
    """The t0 of a project for requests of a kind: as measured for new shapes, else what suits."""
    view = studio.projects.get(project)
    advice = studio.evaluation.advice(project) if kind == "distribution" else None
    return default_t0(kind, view.base, view.default_parts) if advice is None else advice.t0


def on_tab(
    studio: "Studio", is_strip: bool, project: int | None, for_strips: bool
) -> tuple[Any, bool]:
    """The t0 that a tab of Explore opens with; one that stands for its pictures already stays."""
    return gr.skip() if is_strip == for_strips else _t0(studio, project, is_strip), is_strip


def _t0(studio: "Studio", project: int | None, is_strip: bool) -> Any:
    kind = "interpolation" if is_strip else "distribution"
    return gr.skip() if project is None else usual_t0(studio, project, kind)


def on_choose_kinds(kinds: Sequence[str] | None) -> tuple[list[str], Any]:
    """The choice made by hand; strength counts with what changes the U-Net."""
    chosen = list(kinds or ())
    return chosen, _strength(chosen)


def _strength(kinds: Sequence[str]) -> Any:
    return gr.update(visible=any(kind in unet_kinds() for kind in kinds))


def read_sampling_controls(values: Sequence[Any]) -> dict[str, Any]:
    """The controls as values of any request, from those of ``SamplingControls.inputs``."""
    t0, guidance, steps, spacing, sampler, codes, novelty, use, strength = values
    return {
        "t0": t0,
        "guidance_scale": guidance_in(guidance),
        "num_inference_steps": whole_in("Steps", steps),
        "timestep_spacing": spacing,
        "sampler": sampler or DEFAULT_SAMPLER,
        "codes": codes,
        "novelty": novelty,
        "use": None if use is None else tuple(use),
        "adapter_strength": 1.0 if strength is None else strength,
    }


def sampling_control_updates(request: SamplingRequest) -> tuple[Any, ...]:
    """The controls as they stood when something was drawn, in the order of a Drawn."""
    guidance = request.guidance_scale
    kinds = None if request.use is None else [kind for kind in request.use if kind != "vae"]
    return (
        0.5 if request.t0 is None else request.t0,
        "" if guidance is None else f"{guidance:g}",
        request.num_inference_steps,
        request.timestep_spacing,
        request.sampler,
        request.codes,
        gr.update(value=request.novelty, visible=request.codes == "near"),
        kinds,
        _strength_of(request, kinds),
        gr.skip() if kinds is None else kinds,
        request.kind in STRIP_KINDS,
    )


def _strength_of(request: SamplingRequest, kinds: Sequence[str] | None) -> Any:
    is_shown = {} if kinds is None else _strength(kinds)
    return {**gr.update(), **is_shown, "value": request.adapter_strength}
