"""The Pictures screen: drop pictures in, see what became of each, look the set over."""

from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.ui.pictures.collection import build_set, show_set
from dyod_studio.ui.pictures.dropping import build_drop
from dyod_studio.ui.pieces import heading
from dyod_studio.ui.wiring import SILENT

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio


def build_pictures(
    studio: "Studio", project: gr.State, tabs: gr.Tabs, switcher: gr.HTML
) -> list[Any]:
    """Lay out the screen and wire it; returns what ``show_pictures`` fills."""
    with gr.Row():
        with gr.Column(scale=2, min_width=300) as left:
            gr.HTML(heading("Pictures", "One style, many examples: 20 to a few thousand."))
        with gr.Column(scale=3, min_width=300):
            pieces = build_set(studio, project)
            go_on = gr.Button("Go on: train", variant="primary", visible=False, elem_id="to-train")
    shown = [*pieces.outputs, go_on]
    with left:
        build_drop(studio, project, shown, show_pictures, switcher)
    go_on.click(partial(gr.Tabs, selected="train"), None, tabs, **SILENT)
    return shown


def show_pictures(studio: "Studio", project: int | None) -> tuple[Any, ...]:
    """The set, and the way on once there is one."""
    has_any = project is not None and studio.projects.get(project).num_pictures > 0
    return *show_set(studio, project), gr.update(visible=has_any)
