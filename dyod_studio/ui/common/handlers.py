"""Turn the errors written for users into messages on the page; let the others crash loudly."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import gradio as gr

from dyod_studio.errors import InvalidInputError, StudioError
from dyod_studio.requests.sampling import SamplingProgress, condition_inputs

if TYPE_CHECKING:
    pass

P = ParamSpec("P")
R = TypeVar("R")

MOST_DIGITS = 40
"""More than any seed has; what is longer was pasted by mistake."""

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


def progress_callback(progress: gr.Progress) -> Callable[[SamplingProgress], None]:
    """A callback that moves the page's progress bar."""

    def tell(state: SamplingProgress) -> None:
        progress((state.step, state.num_steps), desc="Making pictures", unit="steps")

    return tell


def any_text(text: str | None) -> str | None:
    """A text field's value, or None when it holds nothing but blanks.

    A field that was never in sight, as in a closed drawer, arrives as None.
    """
    return (text or "").strip() or None


def seed_in(text: str | None) -> int | None:
    """The seed that was typed; None when the field was left empty."""
    typed = any_text(text)
    if typed is not None and not (typed.isascii() and typed.isdecimal()):
        raise InvalidInputError(f"Seed must be a whole number or empty, got {typed!r}.")
    if typed is not None and len(typed) > MOST_DIGITS:
        raise InvalidInputError(f"Seed has up to {MOST_DIGITS} digits, got {len(typed)}.")
    return None if typed is None else int(typed)


def guidance_in(text: str | None) -> float | None:
    """The guidance scale that was typed; None when the field was left empty."""
    typed = any_text(text)
    try:
        return None if typed is None else float(typed.replace(",", "."))
    except ValueError as exc:
        raise InvalidInputError(f"Guidance must be a number or empty, got {typed!r}.") from exc


def whole_in(name: str, value: float | None) -> int:
    """A slider's number field, which lets anything through, as a whole number."""
    if value is None or not float(value).is_integer():
        raise InvalidInputError(f"{name} must be a whole number, got {value!r}.")
    return int(value)


def read_parts(usual: Sequence[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """The choice as values of a request; references count only while an ANL is in use."""
    use = values.get("use")
    used = tuple(usual) if use is None else tuple(use)
    has_anl = "anl" in used
    references = values.get("references") or ()
    pictures = [Path(path) for path, _ in references] if has_anl else []
    strength, text_weight = values.get("adapter_strength"), values.get("text_weight")
    return {
        "use": None if use is None else used,
        "inputs": condition_inputs(pictures),
        "adapter_strength": 1.0 if strength is None else strength,
        "mask_rate": (values.get("mask_rate") or 0.0) if pictures else 0.0,
        "condition_text": any_text(values.get("condition_text")) if has_anl else None,
        "text_weight": 0.5 if text_weight is None else text_weight,
    }
