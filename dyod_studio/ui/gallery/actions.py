"""The buttons of the gallery: what each does, and what of the screen changes with it."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.errors import InvalidInputError
from dyod_studio.services.views import GenerationView
from dyod_studio.ui.common.controls import Pager
from dyod_studio.ui.common.handlers import PRIVATE, SILENT, chosen, shown_to_user
from dyod_studio.ui.gallery.filter import Filters, filter_of
from dyod_studio.ui.gallery.import_export import going_to
from dyod_studio.ui.gallery.page import no_details, show_details, show_gallery
from dyod_studio.ui.gallery.selection import (
    Compared,
    Ids,
    Tray,
    Undo,
    all_of,
    compared_updates,
    removed,
    toggled,
    tray_updates,
)

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

BIN = "bin"


class Details(NamedTuple):
    """One picture and its buttons; ``views`` holds the page's pictures, ``number`` that of one."""

    views: gr.State
    number: gr.State
    picture: gr.Image
    buttons: gr.Row
    again: gr.Button
    favorite: gr.Button
    delete: gr.Button
    words: gr.HTML

    @property
    def outputs(self) -> list[Any]:
        """Components that ``show_details`` gives new values to, in its order."""
        return [self.number, self.picture, self.buttons, self.favorite, self.delete, self.words]


class Screen(NamedTuple):
    """The components of the whole screen."""

    filters: Filters
    pager: Pager
    thumbs: gr.Gallery
    undo: Undo
    tray: Tray
    compared: Compared
    several: gr.Checkbox
    every: gr.Button
    details: Details


def wire_actions(
    studio: "Studio",
    project: gr.State,
    screen: Screen,
    shown: list[Any],
    again: gr.State,
    tabs: gr.Tabs,
) -> None:
    """Connect every button. ``shown`` is what ``show_gallery`` fills."""
    _wire_looking(studio, project, screen, again, tabs)
    _wire_choosing(studio, project, screen)
    filters, offset = screen.filters, screen.pager.offset
    place = [project, offset, *filters]
    one, tray, undo = screen.details.number, screen.tray, screen.undo
    changed = [*shown, *undo.outputs, *tray.outputs, *screen.details.outputs]
    screen.details.delete.click(
        partial(on_remove, studio, is_one=True), [one, tray.ids, *place], changed, **SILENT
    )
    tray.remove.click(
        partial(on_remove, studio, is_one=False), [one, tray.ids, *place], changed, **SILENT
    )
    undo.press.click(
        partial(on_undo, studio), [undo.ids, *place], [*shown, *undo.outputs], **SILENT
    )
    screen.details.favorite.click(
        partial(on_favorite, studio), [one, *place], [*shown, screen.details.favorite], **SILENT
    )
    tray.favorite.click(partial(on_mark, studio), [tray.ids, *place], shown, **SILENT)
    fresh = [*undo.outputs, *tray.outputs, *screen.details.outputs, screen.compared.panel]
    project.change(on_other_project, None, fresh, **SILENT)


def _wire_looking(
    studio: "Studio", project: gr.State, screen: Screen, again: gr.State, tabs: gr.Tabs
) -> None:
    def on_select(
        views: Sequence[GenerationView], several: bool, ids: Ids, project: int | None, show: str,
        event: gr.SelectData,
    ) -> tuple[Any, ...]:  # fmt: skip
        return on_look(studio, views, several, ids, project, show, event.index)

    tray = screen.tray
    screen.thumbs.select(
        on_select, [screen.details.views, screen.several, tray.ids, project, screen.filters.show],
        [*screen.details.outputs, *tray.outputs], **SILENT,
    )  # fmt: skip
    screen.details.again.click(
        partial(on_again, studio), screen.details.number, [again, tabs], **PRIVATE
    )


def _wire_choosing(studio: "Studio", project: gr.State, screen: Screen) -> None:
    tray, compared = screen.tray, screen.compared
    asked = [project, *screen.filters]
    screen.several.change(
        lambda several: gr.update(visible=several), screen.several, screen.every, **SILENT
    )
    screen.every.click(partial(on_every, studio), asked, tray.outputs, **SILENT)
    tray.clear.click(partial(on_clear, studio), None, tray.outputs, **SILENT)
    tray.compare.click(partial(on_compare, studio), [project, tray.ids], compared.outputs, **SILENT)
    compared.close.click(lambda: gr.update(visible=False), None, compared.panel, **SILENT)


@shown_to_user
def on_look(
    studio: "Studio", views: Sequence[GenerationView], several: bool, ids: Ids,
    project: int | None, show: str, index: int,
) -> tuple[Any, ...]:  # fmt: skip
    """Show the picture that was clicked, or put it to the chosen ones."""
    in_bin = show == BIN
    if index >= len(views):
        return (gr.skip(),) * (len(no_details()) + len(_no_tray(studio)))
    if not several:
        untouched = (gr.skip(),) * len(_no_tray(studio))
        return *show_details(views[index], in_bin=in_bin), *untouched
    chosen_now = toggled(ids, views[index].id)
    tray = tray_updates(studio, project, chosen_now, in_bin=in_bin)
    return *show_details(views[index], in_bin=in_bin), *tray


@shown_to_user
def on_again(studio: "Studio", picture: int | None) -> tuple[Any, Any]:
    """The screen that made the picture, as it stood then."""
    if picture is None:
        raise InvalidInputError("Click a picture first.")
    view = studio.gallery.provenance(picture)
    return view, going_to(view)


@shown_to_user
def on_every(studio: "Studio", project: int | None, *filters: Any) -> tuple[Any, ...]:
    asked = filter_of(*filters)
    ids = all_of(studio, project, asked)
    return tuple(tray_updates(studio, project, ids, in_bin=asked.is_deleted))


def on_clear(studio: "Studio") -> tuple[Any, ...]:
    return _no_tray(studio)


@shown_to_user
def on_compare(studio: "Studio", project: int | None, ids: Ids) -> tuple[Any, ...]:
    return compared_updates(studio, project, ids)


@shown_to_user
def on_remove(
    studio: "Studio", picture: int | None, ids: Ids, project: int | None, offset: int,
    *filters: Any, is_one: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """Put what is looked at, or what was chosen, into the bin, or bring it back out of it."""
    asked = filter_of(*filters)
    going = ((picture,) if picture is not None else ()) if is_one else ids
    undo = removed(studio, project, going, in_bin=asked.is_deleted)
    rest = tuple(other for other in ids if other not in set(going))
    return (
        *show_gallery(studio, project, asked, offset),
        *undo,
        *tray_updates(studio, project, rest, in_bin=asked.is_deleted),
        *no_details(),
    )


@shown_to_user
def on_undo(
    studio: "Studio", ids: Ids, project: int | None, offset: int, *filters: Any
) -> tuple[Any, ...]:
    """Bring back what was deleted last."""
    studio.gallery.restore(chosen(project), ids)
    page = show_gallery(studio, project, filter_of(*filters), offset)
    return *page, (), gr.update(visible=False), ""


@shown_to_user
def on_favorite(
    studio: "Studio", picture: int | None, project: int | None, offset: int, *filters: Any
) -> tuple[Any, ...]:
    """Mark what is looked at, or take its mark away."""
    if picture is None:
        raise InvalidInputError("Click a picture first.")
    (view,) = studio.gallery.of_ids(chosen(project), [picture])
    now = studio.gallery.favorite(picture, is_favorite=not view.is_favorite)
    label = "♥ Favourite" if now.is_favorite else "♡ Favourite"
    return *show_gallery(studio, project, filter_of(*filters), offset), gr.update(value=label)


@shown_to_user
def on_mark(
    studio: "Studio", ids: Ids, project: int | None, offset: int, *filters: Any
) -> tuple[Any, ...]:
    """Mark all that were chosen; where all are marked already, take the marks away."""
    views = studio.gallery.of_ids(chosen(project), ids)
    is_favorite = not all(view.is_favorite for view in views)
    studio.gallery.mark(chosen(project), ids, is_favorite=is_favorite)
    return show_gallery(studio, project, filter_of(*filters), offset)


def on_other_project() -> tuple[Any, ...]:
    """Nothing of the project before stays: no choice, no details, nothing to undo."""
    hidden = gr.update(visible=False)
    tray = ((), hidden, "", None, gr.update(), gr.update())
    return (), hidden, "", *tray, *no_details(), hidden


def _no_tray(studio: "Studio") -> tuple[Any, ...]:
    return tuple(tray_updates(studio, None, (), in_bin=False))
