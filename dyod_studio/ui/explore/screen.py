"""The Explore screen: new pictures from nothing, the way between two, the traits of a place."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.sampling import (
    AVERAGE,
    SEED_PREFIX,
    AnyRequest,
    InterpolationRequest,
    PointRequest,
)
from dyod_studio.services.explore.views import NUM_TRAITS, SPAN
from dyod_studio.ui.common.controls import training_note
from dyod_studio.ui.common.handlers import SILENT, shown_to_user
from dyod_studio.ui.common.part_picker import (
    SamplingControls,
    build_sampling_controls,
    on_tab,
    sampling_control_updates,
)
from dyod_studio.ui.explore.between import FIXED, FREE, ROUND, STRAIGHT, Between, build_between
from dyod_studio.ui.explore.bookmarks import (
    BookmarkPanel,
    build_bookmarks,
    saved_updates,
    traits_updates,
)
from dyod_studio.ui.explore.new import NONE_CHOSEN, New, build_new
from dyod_studio.ui.explore.picker import ends_updates, picked, show_source
from dyod_studio.ui.explore.strips import build_conductor
from dyod_studio.ui.explore.traits import (
    Traits,
    begin_with,
    build_traits,
    on_origin,
    point_inputs,
    where_html,
)

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio
    from dyod_studio.services.views import Provenance

TAB_OF_KIND = {"interpolation": "between", "place": "traits", "traversal": "traits"}
"""Which of the three ways makes pictures of a kind; the others are new pictures."""
NUM_DRAWN, NUM_NEW, NUM_BETWEEN = 10, 4, 7


def restore_outputs(
    modes: gr.Tabs, drawn: SamplingControls, new: New, between: Between, traits: Traits
) -> list[Any]:
    """Components that ``restore_updates`` fills."""
    picks = between.picks
    return [
        modes,
        *drawn,
        *new.fields,
        picks.ends,
        picks.turn,
        *picks.shown,
        *between.settings,
        traits.origin,
        traits.where,
        *traits.sliders,
    ]


@shown_to_user
def restore_updates(view: "Provenance | None") -> tuple[Any, ...]:
    """New values of the fields; nothing changes when another screen made the picture."""
    num_outputs = 1 + NUM_DRAWN + NUM_NEW + NUM_BETWEEN + 2 + NUM_TRAITS
    if view is None or view.screen != "explore":
        return (gr.skip(),) * num_outputs
    request = view.request
    tab = TAB_OF_KIND.get(request.kind, "new")
    return (
        gr.update(selected=tab),
        *sampling_control_updates(request),
        *(_new(request) if tab == "new" else (gr.skip(),) * NUM_NEW),
        *(_between(request) if tab == "between" else (gr.skip(),) * NUM_BETWEEN),
        *(_point(request) if tab == "traits" else (gr.skip(),) * (2 + NUM_TRAITS)),
    )


def _new(request: AnyRequest) -> tuple[Any, ...]:
    start = "prompt" if request.kind == "prompt" else "distribution"
    prompt = gr.update(value=request.prompt or "", visible=start == "prompt")
    return start, prompt, len(request.seeds()), str(request.seed)


def _between(request: AnyRequest) -> tuple[Any, ...]:
    assert isinstance(request, InterpolationRequest)  # by its kind
    ends = {"A": _end(request, "a", request.a), "B": _end(request, "b", request.b)}
    return (
        *ends_updates(ends, "A"),
        request.num_frames,
        FREE if request.free_noise else FIXED,
        ROUND if request.is_spherical else STRAIGHT,
    )


def _end(request: InterpolationRequest, name: str, ref: str) -> dict[str, Any] | None:
    """An end is a file that is still there, or a seed."""
    if name in request.inputs:
        path = str(request.inputs[name])
        return {"ref": path, "picture": path}
    return {"ref": ref, "picture": None} if ref.startswith(SEED_PREFIX) else None


def _point(request: AnyRequest) -> tuple[Any, ...]:
    """Where the sliders stood; a picture that they began at is not found again: the average."""
    origin, moved = f"{SEED_PREFIX}{request.seed}", {}
    if isinstance(request, PointRequest):
        origin, moved = request.origin, request.moved
    if origin != AVERAGE and not origin.startswith(SEED_PREFIX):
        origin = AVERAGE
    values = [max(-SPAN, min(SPAN, moved.get(rank, 0.0))) for rank in range(NUM_TRAITS)]
    return origin, where_html(origin), *values


NEEDS_SHAPES = """
<div class="empty"><h3>The shape model is not trained yet</h3><p>It learns what your pictures have
in common and where they differ. What lies between two of them, and their traits, come from it.</p>
</div>
"""


def build_explore(
    studio: "Studio",
    scratch: Path,
    project: gr.State,
    tabs: gr.Tabs,
    tab: gr.Tab,
    again: gr.State | None = None,
) -> list[Any]:
    """Lay out the screen and wire it; returns what ``show_explore`` fills.

    ``again`` holds the AgainView that the screen shall stand as.
    """
    hint = gr.HTML(elem_id="explore-hint", padding=False)
    to_train = gr.Button(
        "Train it", variant="primary", visible=False, elem_id="explore-to-train", scale=0
    )
    conductor = build_conductor("explore-conductor")
    drawn = build_sampling_controls(studio, project, tab)
    with gr.Tabs(elem_id="explore-tabs") as modes:
        with gr.Tab("New pictures", id="new") as new_tab:
            new = build_new(studio, project, drawn)
        with gr.Tab("Between two", id="between") as between_tab:
            lacks = [gr.HTML(NEEDS_SHAPES, visible=False)]
            with gr.Column(visible=False) as between_panel:
                between = build_between(studio, scratch, project, drawn)
        with gr.Tab("Traits", id="traits") as traits_tab:
            lacks.append(gr.HTML(NEEDS_SHAPES, visible=False))
            with gr.Row(elem_classes="walk-panel", visible=False) as traits_panel:
                traits = build_traits(studio, project, drawn)
                with traits.side:
                    places = build_bookmarks(studio, project, traits, drawn)
    to_train.click(lambda: gr.update(selected="train"), None, tabs, **SILENT)
    _wire_sources(studio, project, between, between_tab, tab)
    _wire_tabs(studio, project, drawn, new_tab, between_tab)
    _wire_traits(studio, project, traits, places, drawn, traits_tab, conductor)
    _wire_going_on(studio, project, modes, new, between, traits, drawn)
    if again is not None:
        outputs = restore_outputs(modes, drawn, new, between, traits)
        again.change(restore_updates, again, outputs, **SILENT)
    return [hint, to_train, *lacks, between_panel, traits_panel, *places.shown]


def show_explore(studio: "Studio", project: int | None) -> tuple[Any, ...]:
    """Show what is missing, with the button that goes there; else the whole screen."""
    text = training_note(studio, project, ("vae",))
    has_shapes = project is not None and "vae" in studio.projects.get(project).artifacts
    return (
        text,
        gr.update(visible=bool(text) and project is not None),
        *(gr.update(visible=not has_shapes) for _ in range(2)),
        *(gr.update(visible=has_shapes) for _ in range(2)),
        *saved_updates(studio, project),
    )


def _wire_tabs(
    studio: "Studio", project: gr.State, drawn: SamplingControls, new: gr.Tab, between: gr.Tab
) -> None:
    """Each tab opens with the t0 that suits it; the traits do so before their strips are drawn."""
    t0 = [drawn.t0, drawn.for_strips]
    for tab, is_strip in ((new, False), (between, True)):
        tab.select(partial(on_tab, studio, is_strip), [project, drawn.for_strips], t0, **SILENT)


def _wire_sources(
    studio: "Studio", project: gr.State, between: Between, between_tab: gr.Tab, tab: gr.Tab
) -> None:
    """Look up what can be picked whenever it comes into sight."""
    picks = between.picks
    gr.on(
        [project.change, between_tab.select, tab.select],
        partial(show_source, studio),
        [project, picks.source],
        [picks.empty, picks.thumbs, picks.refs, *picks.pager],
        **SILENT,
    )


def _wire_traits(
    studio: "Studio",
    project: gr.State,
    traits: Traits,
    places: BookmarkPanel,
    drawn: SamplingControls,
    traits_tab: gr.Tab,
    conductor: gr.HTML,
) -> None:
    """The strips are drawn when the tab comes into sight, and when a slider came to rest."""
    begin, inputs = begin_with(studio), point_inputs(project, traits, drawn)
    rows = [places.which, *traits.boxes, *traits.sliders]
    traits_tab.select(
        partial(on_tab, studio, True),
        [project, drawn.for_strips],
        [drawn.t0, drawn.for_strips],
        **SILENT,
    ).then(partial(traits_updates, studio), project, rows, **SILENT).then(
        begin, inputs, traits.shown, **SILENT
    )
    conductor.select(begin, inputs, traits.shown, **SILENT)


def _wire_going_on(
    studio: "Studio",
    project: gr.State,
    modes: gr.Tabs,
    new: New,
    between: Between,
    traits: Traits,
    drawn: SamplingControls,
) -> None:
    """From a new picture on: as an end of a way, or as the place that the traits begin at."""
    picks, t0 = between.picks, [drawn.t0, drawn.for_strips]

    def end(name: str, project: int | None, for_strips: bool, *values: Any) -> tuple[Any, ...]:
        updates = on_end(name, *values)
        is_strip = for_strips or all(updates[0].values())
        return *updates, *on_tab(studio, is_strip, project, for_strips)

    for button, name in ((new.as_a, "A"), (new.as_b, "B")):
        button.click(
            partial(end, name),
            [project, drawn.for_strips, picks.ends, new.picked],
            [picks.ends, picks.turn, *picks.shown, modes, *t0],
            **SILENT,
        )
    new.around.click(
        on_around,
        [new.picked, *traits.sliders, *traits.locks],
        [traits.origin, traits.where, *traits.sliders, modes],
        **SILENT,
    ).success(partial(on_tab, studio, True), [project, drawn.for_strips], t0, **SILENT).success(
        begin_with(studio), point_inputs(project, traits, drawn), traits.shown, **SILENT
    )


@shown_to_user
def on_end(name: str, ends: Any, new: tuple[str, str] | None) -> tuple[Any, ...]:
    """Put the new picture at one end and go there, once both are chosen."""
    if new is None:
        raise InvalidInputError(NONE_CHOSEN)
    updates = picked(ends, name, *new)
    is_whole = all(updates[0].values())
    if not is_whole:
        gr.Info(f"It is {name} now. Choose the other end.")
    return *updates, gr.update(selected="between") if is_whole else gr.skip()


@shown_to_user
def on_around(new: tuple[str, str] | None, *sliders_and_locks: Any) -> tuple[Any, ...]:
    """Begin the traits at the new picture and go there."""
    if new is None:
        raise InvalidInputError(NONE_CHOSEN)
    return *on_origin(lambda: new[0], *sliders_and_locks), gr.update(selected="traits")
