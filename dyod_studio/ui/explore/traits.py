"""Traits: a slider for each of the first things the shape model tells apart, around one place."""

import secrets
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.requests.sampling import AVERAGE, PointRequest
from dyod_studio.services.explore.strips import StripPlan
from dyod_studio.services.explore.views import NUM_TRAITS, SPAN, StripsView
from dyod_studio.ui.common.controls import Slider
from dyod_studio.ui.common.handlers import SILENT, chosen, quiet_on_timer, shown_to_user
from dyod_studio.ui.common.html import heading
from dyod_studio.ui.common.part_picker import SamplingControls, read_sampling_controls
from dyod_studio.ui.explore.between import visitor_of
from dyod_studio.ui.explore.picker import MAX_SEED_DRAWN
from dyod_studio.ui.explore.strips import TICK_S, build_stage, build_strip, how_far, strip_html

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

EMPTY = "The picture of this place appears here."


class Traits(NamedTuple):
    """The place, its sliders, and what shows the frames around it."""

    origin: gr.State
    where: gr.HTML
    boxes: list[gr.Column]
    sliders: list[gr.Slider]
    locks: list[gr.Checkbox]
    plan: gr.State
    timer: gr.Timer
    here: gr.HTML
    strip_views: list[gr.HTML]
    status: gr.HTML
    side: gr.Column

    @property
    def shown(self) -> list[Any]:
        """Components that ``on_point`` and ``on_look`` fill; the latter leaves the plan out."""
        return [self.plan, self.timer, self.here, *self.strip_views, self.status]


def build_rows() -> tuple[list[Any], list[Any], list[Any], list[Any]]:
    """Boxes, sliders, locks and films of the traits."""
    rows = [_build_row(rank) for rank in range(NUM_TRAITS)]
    boxes, sliders, locks, strip_views = (list(column) for column in zip(*rows, strict=True))
    return boxes, sliders, locks, strip_views


def _build_row(rank: int) -> tuple[gr.Column, gr.Slider, gr.Checkbox, gr.HTML]:
    with gr.Column(elem_classes=["walk", "trait"], visible=False, min_width=260) as box:
        slider = Slider(
            -SPAN, SPAN, value=0, step=0.25, label=f"Trait {rank + 1}", buttons=[],
            elem_id=f"trait-{rank}",
        )  # fmt: skip
        strip_view = build_strip(f"trait-film-{rank}")
        lock = gr.Checkbox(
            False, label="Lock", container=False, elem_id=f"trait-lock-{rank}", min_width=60
        )
    return box, slider, lock, strip_view


def build_traits(studio: "Studio", project: gr.State, drawn: SamplingControls) -> Traits:
    """Lay out and wire the traits, within their panel; ``side`` has room under the picture."""
    origin, plan = gr.State(AVERAGE), gr.State(None)
    timer = gr.Timer(TICK_S, active=False)
    with gr.Column(scale=5, min_width=320):
        gr.HTML(heading("Traits", "What the shape model tells apart, the most telling first."))
        with gr.Row(elem_classes="headed"):
            average = gr.Button("The average", size="sm", elem_id="trait-average")
            elsewhere = gr.Button("Somewhere else", size="sm", elem_id="trait-elsewhere")
            reset = gr.Button("Sliders to the middle", size="sm", elem_id="trait-reset")
        where = gr.HTML(where_html(AVERAGE), elem_id="trait-where", padding=False)
        with gr.Row(elem_id="trait-rows"):
            boxes, sliders, locks, strip_views = build_rows()
        status = gr.HTML(elem_id="trait-status", padding=False)
    with gr.Column(scale=3, min_width=300) as side:
        build_stage("The picture of this place", EMPTY, "trait-frame")
        here = build_strip("trait-here", ["here"])
    traits = Traits(
        origin, where, boxes, sliders, locks, plan, timer, here, strip_views, status, side
    )
    _wire(studio, project, traits, drawn, (average, elsewhere, reset))
    return traits


def _wire(
    studio: "Studio",
    project: gr.State,
    traits: Traits,
    drawn: SamplingControls,
    buttons: tuple[Any, ...],
) -> None:
    def tick(request: gr.Request, project: int | None, plan: StripPlan | None) -> tuple[Any, ...]:
        return on_look(studio, visitor_of(request), project, plan)

    begin = begin_with(studio)
    inputs = point_inputs(project, traits, drawn)
    traits.timer.tick(tick, [project, traits.plan], traits.shown[1:], **SILENT)
    drawn.t0.release(begin, inputs, traits.shown, **SILENT)
    average, elsewhere, reset = buttons
    for button, choose in ((average, lambda: AVERAGE), (elsewhere, on_elsewhere)):
        button.click(
            partial(on_origin, choose), [*traits.sliders, *traits.locks],
            [traits.origin, traits.where, *traits.sliders], **SILENT,
        ).then(begin, inputs, traits.shown, **SILENT)  # fmt: skip
    reset.click(on_reset, [*traits.sliders, *traits.locks], traits.sliders, **SILENT).then(
        begin, inputs, traits.shown, **SILENT
    )
    for slider, lock in zip(traits.sliders, traits.locks, strict=True):
        lock.input(lambda is_locked: gr.update(interactive=not is_locked), lock, slider, **SILENT)
    project.change(cleared, None, traits.shown, **SILENT)


def begin_with(studio: "Studio") -> Any:
    """The handler that draws around the place which the page shows."""

    def begin(
        request: gr.Request, project: int | None, origin: str, *values_and_drawn: Any
    ) -> tuple[Any, ...]:
        return on_point(studio, visitor_of(request), project, origin, *values_and_drawn)

    return begin


def point_inputs(project: gr.State, traits: Traits, drawn: SamplingControls) -> list[Any]:
    return [project, traits.origin, *traits.sliders, *drawn.inputs]


def point_in(origin: str, values_and_drawn: Sequence[Any]) -> PointRequest:
    """The place which the page shows: sliders first, then how it is drawn."""
    values, drawn = values_and_drawn[:NUM_TRAITS], values_and_drawn[NUM_TRAITS:]
    moved = {rank: float(value) for rank, value in enumerate(values) if value}
    return PointRequest.at(origin, moved, **read_sampling_controls(drawn))


@shown_to_user
def on_point(
    studio: "Studio", visitor: str, project: int | None, origin: str, *values_and_drawn: Any
) -> tuple[Any, ...]:
    """Begin to draw the place and the strips around it, and show what is there of them."""
    if project is None or "vae" not in studio.projects.get(project).artifacts:
        return cleared()
    plan = studio.explore.around(chosen(project), point_in(origin, values_and_drawn))
    studio.explore.prefetcher.begin(visitor, plan)
    return plan, *_shown(plan, studio.explore.prefetcher.look(visitor, plan))


@quiet_on_timer
def on_look(
    studio: "Studio", visitor: str, project: int | None, plan: StripPlan | None
) -> tuple[Any, ...]:
    """Show what is there by now."""
    if plan is None or project != plan.project_id:
        return cleared()[1:]
    return _shown(plan, studio.explore.prefetcher.look(visitor, plan))


def _shown(plan: StripPlan, view: StripsView) -> tuple[Any, ...]:
    here, *strips = view.strips
    strip_views = [strip_html(here, plan.moved), *map(strip_html, strips)]
    strip_views += [""] * (NUM_TRAITS + 1 - len(strip_views))
    return gr.Timer(active=not view.is_over), *strip_views, how_far(view)


def cleared() -> tuple[Any, ...]:
    return None, gr.Timer(active=False), *([""] * (NUM_TRAITS + 1)), ""


def on_elsewhere() -> str:
    """A place drawn from what the shape model has learned."""
    return f"seed:{secrets.randbelow(MAX_SEED_DRAWN)}"


def on_origin(choose: Any, *sliders_and_locks: Any) -> tuple[Any, ...]:
    """Begin elsewhere, with every slider in the middle that is not locked."""
    origin = choose()
    return origin, where_html(origin), *on_reset(*sliders_and_locks)


def on_reset(*sliders_and_locks: Any) -> tuple[Any, ...]:
    values, locks = sliders_and_locks[:NUM_TRAITS], sliders_and_locks[NUM_TRAITS:]
    pairs = zip(values, locks, strict=True)
    return tuple(value if is_locked else 0 for value, is_locked in pairs)


def where_html(origin: str) -> str:
    """Where the sliders begin, in words."""
    kind, _, number = origin.partition(":")
    words = {
        AVERAGE: "the average of your set",
        "seed": f"a shape it drew (seed {number})",
        "set": "a picture of your set",
        "made": "a picture made here",
    }
    return f'<p class="quiet">Sliders begin at {words[kind]}. In the middle, nothing is moved.</p>'
