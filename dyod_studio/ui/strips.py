"""A strip of frames and a slider that moves through it in the browser, without asking anyone."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr

from dyod_studio.studio.views import GenerationView

SHOW_FRAME = "(place, frames) => (frames && frames[place] ? frames[place].image : null)"
"""Runs in the browser: every frame is already there, so the picture follows the hand."""


class Strip(NamedTuple):
    """The components; all three get new values when a strip is computed."""

    place: gr.Slider
    picture: gr.Image
    frames: gr.Gallery

    @property
    def outputs(self) -> list[Any]:
        return [self.place, self.picture, self.frames]


def build_strip(label: str, info: str, elem_id: str) -> Strip:
    picture = gr.Image(
        label="Frame", show_label=False, interactive=False, height=360, buttons=["download"],
        format="png", elem_id=f"{elem_id}-frame", elem_classes="frame",
    )  # fmt: skip
    place = gr.Slider(
        0, 1, value=0, step=1, label=label, info=info, interactive=False, buttons=[],
        elem_id=f"{elem_id}-place",
    )  # fmt: skip
    frames = gr.Gallery(
        label="All frames", show_label=False, columns=9, height="auto", object_fit="contain",
        allow_preview=False, buttons=[], interactive=False, format="png",
        elem_id=f"{elem_id}-frames", elem_classes=["thumbs", "strip"],
    )  # fmt: skip
    place.input(None, [place, frames], picture, js=SHOW_FRAME)
    return Strip(place, picture, frames)


def strip_updates(views: Sequence[GenerationView], start: int = 0) -> tuple[Any, ...]:
    """New values of a Strip's components, in the order of its ``outputs``."""
    files = [str(view.file) for view in views]
    last = max(len(files) - 1, 1)
    return (
        gr.update(maximum=last, value=start, interactive=len(files) > 1),
        files[start] if files else None,
        gr.update(value=files, columns=max(len(files), 2)),
    )
