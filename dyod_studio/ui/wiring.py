"""What every listener of the page is given."""

from typing import Any

import gradio as gr

PRIVATE = {"api_visibility": "private"}
"""Keeps a handler off the public list of endpoints."""
SILENT = {"api_visibility": "private", "show_progress": "hidden"}
"""For what happens at once: no progress shade over the outputs."""
PROGRESS = gr.Progress()
"""Stands as default where Gradio shall hand in the event's own progress."""


def calm(page: gr.Blocks, place: gr.HTML) -> None:
    """Keep what an event is about away from whatever it does not show its progress on.

    Gradio tells the state of every event to all components that ever were an output of one, and
    asks each of them, and everything inside it, for its value: a canvas answers by drawing its
    layers anew and uploading them, at every tick of a timer. Events without a progress shade tell
    theirs to ``place`` alone, the others to those of their outputs that hold nothing large.
    """
    for event in page.fns.values():
        if event.show_progress_on is not None:
            continue
        shaded = [] if event.show_progress == "hidden" else [*filter(_is_plain, event.outputs)]
        event.show_progress_on = shaded or [place]
        if not shaded:
            event.show_progress = "hidden"


def _is_plain(part: Any) -> bool:
    """Neither a canvas nor a part of the page that may have one inside."""
    large = gr.ImageEditor | gr.State | gr.BrowserState
    return isinstance(part, gr.components.Component) and not isinstance(part, large)
