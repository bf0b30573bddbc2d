"""The set itself: what a colleague says of it, all of its pictures, and one of them to change."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.ui.errors import chosen, shown_to_user
from dyod_studio.ui.paging import PAGE_SIZE, build_pager, pager_updates, turned
from dyod_studio.ui.pictures.checks import check_html
from dyod_studio.ui.pictures.editor import Editor, build_editor, hidden, on_picture
from dyod_studio.ui.pieces import counted, empty, heading
from dyod_studio.ui.presses import PRESSES
from dyod_studio.ui.wiring import SILENT

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio


class PictureSet(NamedTuple):
    """What shows a set; ``outputs`` is what ``show_set`` fills."""

    summary: gr.HTML
    check: gr.HTML
    gallery: gr.Gallery
    pager: Any
    editor: Editor

    @property
    def outputs(self) -> list[Any]:
        return [self.summary, self.check, self.gallery, *self.pager, self.editor.panel]


def build_set(studio: "Studio", project: gr.State, name: str = "") -> PictureSet:
    """Lay out and wire it; ``name`` begins every id here."""
    summary = gr.HTML(elem_id=f"{name}set-summary", padding=False)
    check = gr.HTML(elem_id=f"{name}check", js_on_load=PRESSES, padding=False)
    editor = build_editor(studio, project, name)
    gallery = gr.Gallery(
        label="The set", show_label=False, columns=6, fit_columns=False, height="auto",
        object_fit="contain", allow_preview=False, buttons=[], interactive=False,
        elem_id=f"{name}set", elem_classes="thumbs", visible=False,
    )  # fmt: skip
    pager = build_pager("Before", "After", f"{name}set-pager")
    pieces = PictureSet(summary, check, gallery, pager, editor)
    for button, pages in ((pager.before, -1), (pager.after, 1)):
        button.click(
            partial(on_turn, studio, pages), [project, pager.offset], pieces.outputs, **SILENT
        )

    def on_select(project: int | None, offset: int, event: gr.SelectData) -> tuple[Any, ...]:
        return on_picture(studio, project, offset + event.index)

    def on_pressed(project: int | None, offset: int, event: gr.EventData) -> tuple[Any, ...]:
        return on_aside(studio, project, offset, event.values)

    def again(project: int | None, offset: int) -> tuple[Any, ...]:
        return show_set(studio, project, offset)

    gallery.select(on_select, [project, pager.offset], editor.outputs, **SILENT)
    for change in (check.select, editor.moved.change):
        handler = on_pressed if change is check.select else again
        change(handler, [project, pager.offset], pieces.outputs, **SILENT)
    return pieces


def show_set(studio: "Studio", project: int | None, offset: int = 0) -> tuple[Any, ...]:
    """A page of the set and what stands out in it, or how to begin when it is empty."""
    if project is None:
        return "", "", gr.update(visible=False), *pager_updates(0, 0), hidden()
    view = studio.pictures.check(project)
    has_any = bool(view.num_pictures or view.repeats or view.left_out)
    views = studio.projects.pictures(project, offset=offset, limit=PAGE_SIZE)
    return (
        set_summary(view.num_pictures),
        check_html(view) if has_any else "",
        gr.update(
            value=[(str(picture.thumbnail), picture.name) for picture in views],
            visible=bool(views), selected_index=None,
        ),
        *pager_updates(offset, view.num_pictures),
        hidden(),
    )  # fmt: skip


def set_summary(total: int) -> str:
    if total == 0:
        return empty(
            "No pictures yet",
            "Drop pictures or a ZIP, choose a folder, or begin with the example set.",
            label="Show me the way", screen="guide",
        )  # fmt: skip
    return heading(counted(total, "picture"), "Press one to move its crop or to leave it out.")


@shown_to_user
def on_turn(studio: "Studio", pages: int, project: int | None, offset: int) -> tuple[Any, ...]:
    total = studio.projects.get(chosen(project)).num_pictures
    return show_set(studio, project, turned(offset, pages, total))


@shown_to_user
def on_aside(
    studio: "Studio", project: int | None, offset: int, values: Mapping[str, str]
) -> tuple[Any, ...]:
    """Take a picture that stands out into the set, or put it aside."""
    is_out = values["press"] == "drop"
    studio.pictures.leave_out(chosen(project), int(values["picture"]), is_out=is_out)
    return show_set(studio, project, offset)
