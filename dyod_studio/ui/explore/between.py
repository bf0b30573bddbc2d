"""Between two pictures: the strip is drawn behind the scenes, the slider moves at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.services.explore.strips import Walk
from dyod_studio.services.explore.views import WalkView
from dyod_studio.studio.sampling.requests import InterpolationSettings
from dyod_studio.ui.controls import Slider
from dyod_studio.ui.errors import chosen, quiet_on_timer, shown_to_user
from dyod_studio.ui.explore.drawn import Drawn, drawn_in
from dyod_studio.ui.explore.films import TICK_S, build_film, build_stage, film_html, how_far
from dyod_studio.ui.explore.moving import build_moving
from dyod_studio.ui.explore.picks import Picks, build_picks, on_random
from dyod_studio.ui.pieces import heading
from dyod_studio.ui.typed import whole_in
from dyod_studio.ui.wiring import SILENT

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

NUM_FRAMES = 17
EMPTY = "Pick two pictures. What lies between them appears here."
FIXED, FREE = "one for all frames", "its own for every frame"
STRAIGHT, ROUND = "straight", "along the sphere"


class Between(NamedTuple):
    """What shows a walk from A to B."""

    walk: gr.State
    timer: gr.Timer
    place: gr.Slider
    film: gr.HTML
    status: gr.HTML
    picks: Picks
    settings: list[Any]


def build_between(studio: "Studio", scratch: Path, project: gr.State, drawn: Drawn) -> Between:
    """Lay out and wire the way between two ends."""
    walk, timer = gr.State(None), gr.Timer(TICK_S, active=False)
    with gr.Row(elem_classes="walk-panel"):
        with gr.Column(scale=2, min_width=320):
            gr.HTML(heading("Between two", "Click two pictures: the strip draws itself."))
            picks = build_picks(studio, project)
            settings = _build_settings()
            make = gr.Button("Make the strip", variant="primary", elem_id="between-make")
        with gr.Column(scale=3, min_width=320):
            build_stage("The picture at this place of the way", EMPTY, "between-frame")
            with gr.Column(elem_classes="walk"):
                place = Slider(
                    0, NUM_FRAMES - 1, value=0, step=1, label="From A to B", interactive=False,
                    info="Moves at once: the frames are here.", buttons=[],
                    elem_id="between-place",
                )  # fmt: skip
                film = build_film("between-frames")
            status = gr.HTML(elem_id="between-status", padding=False)
            build_moving(studio, scratch, project, walk, place)
    between = Between(walk, timer, place, film, status, picks, settings)
    _wire(studio, project, between, make, drawn)
    return between


def _build_settings() -> list[Any]:
    with gr.Accordion("How it goes from A to B", open=False):
        frames = Slider(
            3, 49, value=NUM_FRAMES, step=2, label="Frames", elem_id="between-number",
            info="How many from A to B.",
        )  # fmt: skip
        noise = gr.Radio(
            [FIXED, FREE], value=FIXED, label="Small details", elem_id="between-noise",
            info="One for all: a smooth way. Its own: hair, buttons and the like vary (noise ε).",
        )  # fmt: skip
        path = gr.Radio(
            [STRAIGHT, ROUND], value=STRAIGHT, label="The way", elem_id="between-path",
            info="Along the sphere, the middle is as bold as the ends (spherical interpolation).",
        )  # fmt: skip
    return [frames, noise, path]


def _wire(
    studio: "Studio", project: gr.State, between: Between, make: gr.Button, drawn: Drawn
) -> None:
    shown = [between.walk, between.timer, between.place, between.film, between.status]
    picks = between.picks
    frames, noise, path = between.settings

    def begin(
        request: gr.Request, project: int | None, ends: Mapping[str, Any], *rest: Any
    ) -> tuple[Any, ...]:
        return on_between(studio, visitor_of(request), project, ends, *rest)

    def tick(request: gr.Request, project: int | None, walk: Walk | None) -> tuple[Any, ...]:
        return on_tick(studio, visitor_of(request), project, walk)

    inputs = [project, picks.ends, *between.settings, *drawn.inputs]
    gr.on(
        [picks.ends.change, frames.release, noise.input, path.input, drawn.t0.release],
        begin, inputs, shown, **SILENT,
    )  # fmt: skip
    make.click(on_make, picks.ends, [picks.ends, picks.turn, *picks.shown], **SILENT).success(
        begin, inputs, shown, **SILENT
    )
    between.timer.tick(tick, [project, between.walk], shown[1:], **SILENT)
    project.change(cleared, None, shown, **SILENT)


def visitor_of(request: gr.Request | None) -> str:
    """A name for this window, by which its newest wish overtakes its older ones."""
    return "" if request is None else f"explore {request.session_hash}"


def on_make(ends: Mapping[str, Any]) -> tuple[Any, ...]:
    """Without two ends, take two at random: nobody presses for nothing."""
    if ends["A"] is not None and ends["B"] is not None:
        return tuple(gr.skip() for _ in range(4))
    return on_random()


@shown_to_user
def on_between(
    studio: "Studio", visitor: str, project: int | None, ends: Mapping[str, Any],
    frames: float | None, noise: str, path: str, *drawn: Any,
) -> tuple[Any, ...]:  # fmt: skip
    """Begin to draw the strip, and show what is there of it."""
    if ends["A"] is None or ends["B"] is None:
        return cleared()
    settings = InterpolationSettings(
        a=ends["A"]["ref"], b=ends["B"]["ref"], num_frames=whole_in("Frames", frames),
        free_noise=noise == FREE, is_spherical=path == ROUND, **drawn_in(*drawn),
    )  # fmt: skip
    walk = studio.exploring.way(chosen(project), settings)
    studio.exploring.walks.begin(visitor, walk)
    view = studio.exploring.walks.look(visitor, walk)
    last = settings.num_frames - 1
    return walk, *_shown(view, gr.update(maximum=last, value=0, interactive=True))


@quiet_on_timer
def on_tick(
    studio: "Studio", visitor: str, project: int | None, walk: Walk | None
) -> tuple[Any, ...]:
    """What is there of the strip by now."""
    if walk is None or project != walk.asked.project_id:
        return cleared()[1:]
    return _shown(studio.exploring.walks.look(visitor, walk), gr.skip())


def _shown(view: WalkView, place: Any) -> tuple[Any, ...]:
    return (
        gr.Timer(active=not view.is_over),
        place,
        film_html(view.strips[0]),
        how_far(view),
    )


def cleared() -> tuple[Any, ...]:
    """No walk, and nothing of one."""
    return None, gr.Timer(active=False), gr.update(value=0, interactive=False), "", ""
