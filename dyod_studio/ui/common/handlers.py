"""Turn the errors written for users into messages on the page; let the others crash loudly."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import gradio as gr

from dyod_studio.errors import InvalidInputError, StudioError

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)


def shown_to_user(handler: Callable[P, R]) -> Callable[P, R]:
    """Show a StudioError as a message of one sentence."""

    @wraps(handler)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return handler(*args, **kwargs)
        except StudioError as exc:
            raise gr.Error(str(exc), print_exception=False) from exc

    return call


def quiet_on_timer(handler: Callable[P, Any]) -> Callable[P, Any]:
    """Leave the page as it is when a timer's handler fails, and log why.

    This is the one place of the page that catches every exception: a handler that raises on a
    timer would show the same message again at each tick.
    """

    @wraps(handler)
    def call(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return handler(*args, **kwargs)
        except StudioError as exc:
            logger.info("%s left the page unchanged: %s", handler.__name__, exc)
        except Exception:
            logger.exception("%s left the page unchanged.", handler.__name__)
        return gr.skip()

    return call


def chosen(project: int | None) -> int:
    """The project's id; an error in words when none is chosen."""
    if project is None:
        raise InvalidInputError("Choose a project first, or make a new one.")
    return project


PRIVATE = {"api_visibility": "private"}
"""Keeps a handler off the public list of endpoints."""
SILENT = {"api_visibility": "private", "show_progress": "hidden"}
"""For what happens at once: no progress shade over the outputs."""
PROGRESS = gr.Progress()
"""Stands as default where Gradio shall hand in the event's own progress."""


def limit_event_updates(page: gr.Blocks, place: gr.HTML) -> None:
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
