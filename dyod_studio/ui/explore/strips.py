"""Strips of frames that lie in the page, and the stage on which a slider shows one of them.

What runs in the browser stands in ``assets/strips.js``.
"""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

import gradio as gr

from dyod_studio.services.explore.views import FrameView, StripsView
from dyod_studio.settings import ASSETS_DIR
from dyod_studio.ui.common.html import counted, note

SETTLE = """
watch('value', () => window.dyodWalks?.settle(element));
window.dyodWalks?.settle(element);
"""
STAGE = '<div class="stage"><img alt="{name}" hidden><p>{empty}</p></div>'
TICK_S = 0.7
"""How often a page looks for new frames while some are being drawn."""


def build_conductor(elem_id: str) -> gr.HTML:
    """Component that moves the sliders' pictures; its ``select``: a trait came to rest."""
    script = (ASSETS_DIR / "strips.js").read_text(encoding="utf-8")
    return gr.HTML("", js_on_load=script, elem_id=elem_id, elem_classes="conductor", padding=False)


def build_stage(name: str, empty: str, elem_id: str) -> gr.HTML:
    """Where one frame is shown large; ``empty`` is said while there is none."""
    html = STAGE.format(name=escape(name), empty=escape(empty))
    return gr.HTML(html, elem_id=elem_id, padding=False, js_on_load=None)


def build_strip(elem_id: str, elem_classes: Sequence[str] = ()) -> gr.HTML:
    return gr.HTML(
        "", elem_id=elem_id, elem_classes=list(elem_classes), padding=False, js_on_load=SETTLE
    )


def strip_html(frames: Sequence[FrameView], moved: Mapping[int, float] | None = None) -> str:
    """A row of frames; those that are still being drawn leave their place empty.

    ``moved``: the traits (rank to deviations) that make up the place which the row shows, if one.
    """
    if not frames:
        return ""
    cells = "".join(_cell(frame, number, len(frames)) for number, frame in enumerate(frames, 1))
    where = "" if moved is None else f' data-moved="{escape(json.dumps(dict(moved)))}"'
    return f'<div class="film"{where}>{cells}</div>'


def _cell(frame: FrameView, number: int, count: int) -> str:
    if frame.file is None:
        return '<i class="waits"></i>'
    return (
        f'<img data-at="{frame.at:g}" src="{file_url(frame.file)}" alt="Frame {number} of {count}">'
    )


def file_url(path: Path) -> str:
    """Where the page finds a stored picture; relative, so that it holds behind any address."""
    return f"gradio_api/file={quote(path.as_posix())}"


def how_far(view: StripsView) -> str:
    """One line about what is drawn and what is not yet."""
    if view.error is not None:
        return note(view.error, "bad")
    if view.is_complete:
        return f'<p class="quiet">All {counted(view.total, "frame")} are there.</p>'
    return (
        f'<p class="quiet" role="status">{view.done} of {counted(view.total, "frame")} drawn, '
        "the coarse ones first. You can move already, or go on elsewhere.</p>"
    )
