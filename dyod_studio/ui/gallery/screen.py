"""The Gallery screen: everything that was made, how it was made, and what becomes of it."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.ui.common.controls import build_pager, turned
from dyod_studio.ui.common.handlers import SILENT, shown_to_user
from dyod_studio.ui.gallery.actions import Details, Screen, wire_actions
from dyod_studio.ui.gallery.filter import NO_FILTER, build_filters, choices_of, filter_of
from dyod_studio.ui.gallery.import_export import build_bring, build_export
from dyod_studio.ui.gallery.page import CHOOSE, show_gallery
from dyod_studio.ui.gallery.selection import build_compared, build_tray, build_undo

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

COLUMNS = 6
"""On a wide screen; the style sheet sets as many as there is room for."""


class Links(NamedTuple):
    """Components that the gallery shares with the rest of the page.

    ``again`` holds the AgainView that a screen shall stand as; ``brought`` the project that was
    brought in last.
    """

    tabs: gr.Tabs
    again: gr.State
    brought: gr.State


def build_gallery(
    studio: "Studio", scratch: Path, project: gr.State, tab: gr.Tab, links: Links
) -> None:
    """Lay out the screen and wire it."""
    filters, days = build_filters()
    undo = build_undo()
    with gr.Row(elem_id="gallery-room"):
        with gr.Column(scale=3, min_width=320):
            compared = build_compared()
            with gr.Row(elem_classes="headed", elem_id="gallery-head"):
                summary = gr.HTML(elem_id="gallery-summary", padding=False)
                several = gr.Checkbox(
                    False, label="Choose several", container=False, elem_id="gallery-several",
                    min_width=140, scale=0,
                )  # fmt: skip
                every = gr.Button(
                    "Choose all", size="sm", scale=0, min_width=110, elem_id="gallery-all",
                    visible=False,
                )  # fmt: skip
            thumbs = _build_thumbs()
            pager = build_pager("Newer", "Older", "gallery-pager")
            tray = build_tray()
        with gr.Column(scale=1, min_width=300, elem_id="gallery-side"):
            details = _build_details()
            build_export(studio, scratch, project, tray.ids)
            build_bring(studio, project, links.again, links.brought, links.tabs)
    screen = Screen(filters, pager, thumbs, undo, tray, compared, several, every, details)
    shown = [summary, thumbs, details.views, *pager]
    wire_actions(studio, project, screen, shown, links.again, links.tabs)
    _wire_pages(studio, project, tab, screen, shown, days)


def _build_thumbs() -> gr.Gallery:
    return gr.Gallery(
        label="Gallery", show_label=False, columns=COLUMNS, fit_columns=False, height="auto",
        object_fit="contain", allow_preview=False, buttons=[], interactive=False,
        elem_id="gallery", elem_classes="thumbs", visible=False,
    )  # fmt: skip


def _build_details() -> Details:
    """One picture large, and what can be done with it."""
    views, number = gr.State(()), gr.State(None)
    picture = gr.Image(
        label="Picture", show_label=False, interactive=False, height=300, format="png",
        buttons=["download", "fullscreen"], visible=False, elem_id="gallery-picture",
        elem_classes="frame",
    )  # fmt: skip
    with gr.Row(visible=False, elem_id="gallery-ways") as buttons:
        again = gr.Button("Again", variant="primary", size="sm", min_width=80, elem_id="again")
        favorite = gr.Button("♡ Favourite", size="sm", min_width=110, elem_id="favorite")
        delete = gr.Button("Delete", size="sm", min_width=80, elem_id="gallery-delete")
    words = gr.HTML(CHOOSE, elem_id="gallery-details", padding=False)
    return Details(views, number, picture, buttons, again, favorite, delete, words)


def _wire_pages(
    studio: "Studio", project: gr.State, tab: gr.Tab, screen: Screen, shown: list[Any], days: gr.Row
) -> None:
    """Fill the screen when it comes into sight, is filtered, or its page is turned."""
    filters, pager = screen.filters, screen.pager
    asked = [project, *filters]
    fresh = [*shown, *filters.choices]
    tab.select(partial(on_open, studio), asked, fresh, **SILENT)
    project.change(partial(on_project, studio), project, [*fresh, *filters], **SILENT)
    changes = [filters.show.input, filters.kind.input, filters.when.input, filters.part.input]
    changes += [filters.text.change, filters.since.change, filters.until.change]
    gr.on(changes, partial(on_filter, studio), asked, shown, trigger_mode="always_last", **SILENT)
    filters.when.change(
        lambda when: gr.update(visible=when == "between"), filters.when, days, **SILENT
    )
    for button, pages in ((pager.before, -1), (pager.after, 1)):
        button.click(partial(on_turn, studio, pages), [*asked, pager.offset], shown, **SILENT)


@shown_to_user
def on_open(studio: "Studio", project: int | None, *filters: Any) -> tuple[Any, ...]:
    """The first page, and the lists of the filters."""
    asked = filter_of(*filters)
    return *show_gallery(studio, project, asked), *choices_of(studio, project, asked)


@shown_to_user
def on_project(studio: "Studio", project: int | None) -> tuple[Any, ...]:
    """Another project is open: its first page, and no filter of the one before."""
    return *on_open(studio, project, *NO_FILTER), *NO_FILTER


@shown_to_user
def on_filter(studio: "Studio", project: int | None, *filters: Any) -> tuple[Any, ...]:
    return show_gallery(studio, project, filter_of(*filters))


@shown_to_user
def on_turn(studio: "Studio", pages: int, project: int | None, *rest: Any) -> tuple[Any, ...]:
    *filters, offset = rest
    asked = filter_of(*filters)
    total = 0 if project is None else studio.gallery.count(project, asked)
    return show_gallery(studio, project, asked, turned(offset, pages, total))
