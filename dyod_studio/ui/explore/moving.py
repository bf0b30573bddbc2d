"""Taking a strip along: one frame into the gallery, or all of them as something that moves."""

import tempfile
import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.errors import InvalidInputError
from dyod_studio.services.explore.animation import (
    DEFAULT_FPS,
    MAX_FPS,
    SUFFIXES,
    WRITERS,
    there_and_back,
)
from dyod_studio.services.explore.strips import Walk
from dyod_studio.ui.controls import Slider
from dyod_studio.ui.errors import chosen, shown_to_user
from dyod_studio.ui.wiring import PRIVATE, SILENT

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

NONE_YET = "There is no strip yet: pick two pictures first."
FETCH = "() => document.querySelector('#moving-file').click()"
BUTTONS = {"gif": "GIF", "mp4": "Video (MP4)", "sprite": "Sprites (PNG + JSON)"}


def build_moving(
    studio: "Studio", scratch: Path, project: gr.State, walk: gr.State, place: gr.Slider
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
    keep.click(partial(on_keep, studio), [project, walk, place], None, **SILENT)
    for form, button in buttons.items():
        button.click(
            partial(on_take, studio, scratch, form), [walk, fps, is_loop], file, **PRIVATE
        ).success(None, None, None, js=FETCH)


@shown_to_user
def on_keep(studio: "Studio", project: int | None, walk: Walk | None, place: float | None) -> None:
    """Put the frame that the slider shows into the gallery."""
    if walk is None:
        raise InvalidInputError(NONE_YET)
    _, key = min(walk.strips[0], key=lambda frame: abs(frame[0] - (place or 0)))
    studio.exploring.keep(chosen(project), key)
    gr.Info("It is in the gallery now.")


@shown_to_user
def on_take(
    studio: "Studio", scratch: Path, form: str, walk: Walk | None, fps: float | None, is_loop: bool
) -> Any:
    """Write all frames as one file, under a name that says what it is."""
    if walk is None:
        raise InvalidInputError(NONE_YET)
    view = studio.exploring.walks.finished("", walk)
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
