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
