"""Between two pictures: the strip is drawn behind the scenes, the slider moves at once."""

import tempfile
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.sampling import InterpolationRequest
from dyod_studio.services.explore.animation import (
    DEFAULT_FPS,
    MAX_FPS,
    SUFFIXES,
    WRITERS,
    there_and_back,
)
from dyod_studio.services.explore.strips import StripPlan
from dyod_studio.services.explore.views import StripsView
from dyod_studio.ui.common.controls import Slider
from dyod_studio.ui.common.handlers import (
    PRIVATE,
    SILENT,
    chosen,
    quiet_on_timer,
    shown_to_user,
    whole_in,
)
from dyod_studio.ui.common.html import heading
from dyod_studio.ui.common.part_picker import SamplingControls, read_sampling_controls
from dyod_studio.ui.explore.picker import Picks, build_picks, on_random
from dyod_studio.ui.explore.strips import TICK_S, build_stage, build_strip, how_far, strip_html

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

NONE_YET = "There is no strip yet: pick two pictures first."
FETCH = "() => document.querySelector('#moving-file').click()"
BUTTONS = {"gif": "GIF", "mp4": "Video (MP4)", "sprite": "Sprites (PNG + JSON)"}


def build_moving(
    studio: "Studio", scratch: Path, project: gr.State, plan: gr.State, place: gr.Slider
) -> None:
    """Lay out and wire the row under a strip."""
    with gr.Row(elem_classes="headed"):
        keep = gr.Button("Keep this picture", size="sm", elem_id="between-keep")
        buttons = {
            form: gr.Button(name, size="sm", elem_id=f"moving-{form}")
            for form, name in BUTTONS.items()
        }
    with gr.Accordion("How it moves", open=False):
        fps = Slider(
            1, MAX_FPS, value=DEFAULT_FPS, step=1, label="Frames a second", elem_id="moving-fps"
        )
        is_loop = gr.Checkbox(
            True, label="There and back again", elem_id="moving-back",
            info="A loop without a jump. Sprites go one way only.",
        )  # fmt: skip
    file = gr.DownloadButton(elem_id="moving-file")
    keep.click(partial(on_keep, studio), [project, plan, place], None, **SILENT)
    for form, button in buttons.items():
        button.click(
            partial(on_take, studio, scratch, form), [plan, fps, is_loop], file, **PRIVATE
        ).success(None, None, None, js=FETCH)


@shown_to_user
def on_keep(
    studio: "Studio", project: int | None, plan: StripPlan | None, place: float | None
) -> None:
    """Put the frame that the slider shows into the gallery."""
    if plan is None:
        raise InvalidInputError(NONE_YET)
    _, key = min(plan.strips[0], key=lambda frame: abs(frame[0] - (place or 0)))
    studio.explore.keep(chosen(project), key)
    gr.Info("It is in the gallery now.")


@shown_to_user
def on_take(
    studio: "Studio",
    scratch: Path,
    form: str,
    plan: StripPlan | None,
    fps: float | None,
    is_loop: bool,
) -> Any:
    """Write all frames as one file, under a name that says what it is."""
    if plan is None:
        raise InvalidInputError(NONE_YET)
    view = studio.explore.prefetcher.finished("", plan)
    frames = [frame.file for frame in view.strips[0] if frame.file is not None]
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=scratch, prefix="moving-"))
    out = folder / f"from-a-to-b{SUFFIXES[form]}"
    is_back = is_loop and form != "sprite"
    WRITERS[form](there_and_back(frames) if is_back else frames, out, fps=fps or 0.0)
    return gr.update(value=str(_zipped(out) if form == "sprite" else out))


def _zipped(picture: Path) -> Path:
    """The sprites and the JSON that says where each is, as one file to download."""
    archive = picture.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as file:
        for path in (picture, picture.with_suffix(".json")):
            file.write(path, path.name)
    return archive


NUM_FRAMES = 17
EMPTY = "Pick two pictures. What lies between them appears here."
FIXED, FREE = "one for all frames", "its own for every frame"
STRAIGHT, ROUND = "straight", "along the sphere"


class Between(NamedTuple):
    """Components that show a plan from A to B."""

    plan: gr.State
    timer: gr.Timer
    place: gr.Slider
    strip_view: gr.HTML
    status: gr.HTML
    picks: Picks
    settings: list[Any]


def build_between(
    studio: "Studio", scratch: Path, project: gr.State, drawn: SamplingControls
) -> Between:
    """Lay out and wire the way between two ends."""
    plan, timer = gr.State(None), gr.Timer(TICK_S, active=False)
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
                strip_view = build_strip("between-frames")
            status = gr.HTML(elem_id="between-status", padding=False)
            build_moving(studio, scratch, project, plan, place)
    between = Between(plan, timer, place, strip_view, status, picks, settings)
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
    studio: "Studio", project: gr.State, between: Between, make: gr.Button, drawn: SamplingControls
) -> None:
    shown = [between.plan, between.timer, between.place, between.strip_view, between.status]
    picks = between.picks
    frames, noise, path = between.settings

    def begin(
        request: gr.Request, project: int | None, ends: Mapping[str, Any], *rest: Any
    ) -> tuple[Any, ...]:
        return on_between(studio, visitor_of(request), project, ends, *rest)

    def tick(request: gr.Request, project: int | None, plan: StripPlan | None) -> tuple[Any, ...]:
        return on_tick(studio, visitor_of(request), project, plan)

    inputs = [project, picks.ends, *between.settings, *drawn.inputs]
    gr.on(
        [picks.ends.change, frames.release, noise.input, path.input, drawn.t0.release],
        begin, inputs, shown, **SILENT,
    )  # fmt: skip
    make.click(on_make, picks.ends, [picks.ends, picks.turn, *picks.shown], **SILENT).success(
        begin, inputs, shown, **SILENT
    )
    between.timer.tick(tick, [project, between.plan], shown[1:], **SILENT)
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
    request = InterpolationRequest(
        a=ends["A"]["ref"], b=ends["B"]["ref"], num_frames=whole_in("Frames", frames),
        free_noise=noise == FREE, is_spherical=path == ROUND, **read_sampling_controls(drawn),
    )  # fmt: skip
    plan = studio.explore.interpolation(chosen(project), request)
    studio.explore.prefetcher.begin(visitor, plan)
    view = studio.explore.prefetcher.look(visitor, plan)
    last = request.num_frames - 1
    return plan, *_shown(view, gr.update(maximum=last, value=0, interactive=True))


@quiet_on_timer
def on_tick(
    studio: "Studio", visitor: str, project: int | None, plan: StripPlan | None
) -> tuple[Any, ...]:
    """Show what is there of the strip by now."""
    if plan is None or project != plan.project_id:
        return cleared()[1:]
    return _shown(studio.explore.prefetcher.look(visitor, plan), gr.skip())


def _shown(view: StripsView, place: Any) -> tuple[Any, ...]:
    return (
        gr.Timer(active=not view.is_over),
        place,
        strip_html(view.strips[0]),
        how_far(view),
    )


def cleared() -> tuple[Any, ...]:
    """No plan, and nothing of one."""
    return None, gr.Timer(active=False), gr.update(value=0, interactive=False), "", ""
