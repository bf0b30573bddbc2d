"""A page of the gallery as the screen shows it, and one picture of it."""

from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.requests.titles import SAMPLERS, field_title
from dyod_studio.services.gallery.views import EVERYTHING, GalleryFilter
from dyod_studio.services.views import GenerationView
from dyod_studio.ui.common.controls import PAGE_SIZE, pager_updates, turned
from dyod_studio.ui.common.html import counted, empty, heading, kind_name, parameter_table
from dyod_studio.ui.common.run_html import method_name

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

CHOOSE = '<p class="quiet">Click a picture to see how it was made.</p>'


def details_html(view: GenerationView) -> str:
    """Details of a picture for a person, and behind them all that a program wants to know."""
    parameters = view.parameters
    rows = {
        "Made": f"{kind_name(view)}, {view.created_at.astimezone():%d %b %Y, %H:%M}",
        field_title("t0"): _number(parameters.get("t0")),
        field_title("seed"): str(view.seed),
        "Words": parameters.get("prompt") or "",
        "Drawn with": ", ".join(method_name(kind) for kind in parameters.get("artifacts") or {}),
        field_title("adapter_strength"): _unless(parameters.get("adapter_strength"), 1.0),
        field_title("control_scale"): _number(parameters.get("control_scale"))
        if "control_sha256" in parameters
        else "",
        field_title("mask_rate"): _unless(parameters.get("mask_rate"), 0.0),
        field_title("guidance_scale"): _number(parameters.get("guidance_scale")),
        field_title("num_inference_steps"): _number(parameters.get("num_inference_steps")),
        field_title("sampler"): SAMPLERS.get(str(parameters.get("sampler", "ddim")), ""),
        field_title("codes"): parameters.get("codes") if view.kind == "distribution" else "",
        "Size": f"{view.width} x {view.height}",
        "Number": str(view.id),
    }
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
        for name, value in rows.items()
        if value
    )
    return (
        f'<table class="facts">{cells}</table>'
        f'<details class="more"><summary>Everything</summary>{parameter_table(view)}</details>'
    )


def _number(value: object) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _unless(value: object, usual: float) -> str:
    return "" if value in (None, usual) else _number(value)


NOTHING_FITS = '<p class="quiet">Nothing here is like that. Take a filter away.</p>'
EMPTY_BIN = '<p class="quiet">The bin is empty.</p>'


def show_gallery(
    studio: "Studio", project: int | None, asked: GalleryFilter = EVERYTHING, offset: int = 0
) -> tuple[Any, ...]:
    """A page of what the filter lets pass, the newest first."""
    total, views = 0, []
    if project is not None:
        total = studio.gallery.count(project, asked)
        offset = turned(offset, 0, total)
        views = studio.gallery.page(project, offset, PAGE_SIZE, asked)
    return (
        summary_html(total, asked),
        gr.update(value=[_thumb(view) for view in views], visible=total > 0, selected_index=None),
        tuple(views),
        *pager_updates(offset, total),
    )


def summary_html(total: int, asked: GalleryFilter) -> str:
    """How much there is; with nothing, what to do about it."""
    if total and asked.is_deleted:
        return heading(f"{counted(total, 'picture')} in the bin", "Gone for good after a week.")
    if total:
        what = "made" if asked.is_everything else "found"
        return heading(f"{counted(total, 'picture')} {what}", "The newest first.")
    if asked.is_deleted:
        return EMPTY_BIN
    if not asked.is_everything:
        return NOTHING_FITS
    return empty(
        "Nothing made yet",
        "Everything you make in Studio and Explore is kept here, with all that is needed to make"
        " it again.",
        label="Make the first pictures",
        screen="explore",
    )


def _thumb(view: GenerationView) -> tuple[str, str | None]:
    """The small picture; a favourite has a heart under it."""
    return str(view.thumbnail), "♥" if view.is_favorite else None


def show_details(view: GenerationView, *, in_bin: bool = False) -> tuple[Any, ...]:
    """The picture at its full size, what can be done with it, and how it was made."""
    return (
        view.id,
        gr.update(value=str(view.file), visible=True),
        gr.update(visible=True),
        gr.update(value="♥ Favourite" if view.is_favorite else "♡ Favourite"),
        gr.update(value="Bring back" if in_bin else "Delete"),
        details_html(view),
    )


def no_details() -> tuple[Any, ...]:
    """The place where a picture's details stand, when none is looked at."""
    hidden = gr.update(visible=False)
    return None, gr.update(value=None, visible=False), hidden, gr.skip(), gr.skip(), CHOOSE
