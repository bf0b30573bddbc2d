"""The set itself: what a colleague says of it, all of its pictures, and one of them to change."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.requests.cropping import CROP_TITLES, CropMode
from dyod_studio.services.pictures import CheckView, PictureDetails
from dyod_studio.ui.common.controls import PAGE_SIZE, build_pager, pager_updates, turned
from dyod_studio.ui.common.handlers import SILENT, chosen, shown_to_user
from dyod_studio.ui.common.html import counted, data_uri, empty, heading
from dyod_studio.ui.common.run_actions import ACTIONS
from dyod_studio.ui.pictures.captions import build_captions
from dyod_studio.ui.pictures.editor import Editor, build_editor, hidden, on_picture

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

SIDE_PX = 192
MAX_SHOWN = 12
KEEP = ("keep", "Keep it", "Take it into the set.")
DROP = ("drop", "Leave it out", "It stays with the project, but nothing learns from it.")


def check_html(view: CheckView) -> str:
    """Advice on the set, and below it the pictures that it points at."""
    lines = "".join(f"<li>{escape(line)}</li>" for line in view.advice)
    parts = [f'<ul class="advice">{lines}</ul>']
    pairs = [
        f'<div class="pair">{_card(copy, KEEP)}{_original(original)}</div>'
        for copy, original in view.repeats
    ]
    parts += _group("Shown twice: left out unless you keep it", pairs, "pairs")
    for title, pictures, press in (
        ("Looks blurred", view.soft, DROP),
        ("Much smaller than the others", view.small, DROP),
        ("Left out by you", view.left_out, KEEP),
    ):
        parts += _group(title, [_card(picture, press) for picture in pictures], "cards")
    return f'<div class="check">{"".join(parts)}</div>'


def picture_press(what: str, picture: PictureDetails, label: str, help_text: str) -> str:
    name, text = escape(picture.name), escape(label)
    return (
        f'<button type="button" class="press" data-press="{what}" data-picture="{picture.id}"'
        f' title="{escape(help_text)}" aria-label="{text}: {name}">{text}</button>'
    )


def _group(title: str, cards: list[str], kind: str) -> Iterable[str]:
    if not cards:
        return []
    more = len(cards) - MAX_SHOWN
    rest = f'<p class="quiet">and {more:,} more</p>' if more > 0 else ""
    shown = "".join(cards[:MAX_SHOWN])
    return [
        f'<section class="stands-out"><h3>{escape(title)} <span class="quiet">{len(cards):,}</span>'
        f'</h3><div class="{kind}">{shown}</div>{rest}</section>'
    ]


def _card(picture: PictureDetails, press: tuple[str, str, str]) -> str:
    what, label, help_text = press
    return (
        f"<figure>{_image(picture)}<figcaption>{_named(picture)}"
        f"{picture_press(what, picture, label, help_text)}</figcaption></figure>"
    )


def _original(picture: PictureDetails | None) -> str:
    if picture is None:
        return '<figure><figcaption class="quiet">The first one is gone.</figcaption></figure>'
    return f"<figure>{_image(picture)}<figcaption>{_named(picture)}</figcaption></figure>"


def _named(picture: PictureDetails) -> str:
    size = f"{picture.width} x {picture.height}"
    return f'<b>{escape(picture.name)}</b><span class="quiet">{size}</span>'


def _image(picture: PictureDetails) -> str:
    with suppress(FileNotFoundError):
        return f'<img alt="" src="{data_uri(picture.thumbnail, SIDE_PX)}">'
    return ""


class PictureSet(NamedTuple):
    """Components that show a set; ``outputs`` are those that ``show_set`` fills."""

    summary: gr.HTML
    check: gr.HTML
    crop_mode: gr.Dropdown
    gallery: gr.Gallery
    pager: Any
    editor: Editor

    @property
    def outputs(self) -> list[Any]:
        return [
            self.summary,
            self.check,
            self.crop_mode,
            self.gallery,
            *self.pager,
            self.editor.panel,
        ]


def build_set(studio: "Studio", project: gr.State, name: str = "") -> PictureSet:
    """Lay out and wire it; ``name`` begins every id here."""
    summary = gr.HTML(elem_id=f"{name}set-summary", padding=False)
    check = gr.HTML(elem_id=f"{name}check", js_on_load=ACTIONS, padding=False)
    crop_mode = gr.Dropdown(
        [(title.capitalize(), mode.value) for mode, title in CROP_TITLES.items()],
        label="Pictures that are no squares are learned", visible=False,
        elem_id=f"{name}crop-mode", info="For all at once; press a picture to change one.",
    )  # fmt: skip
    editor = build_editor(studio, project, name)
    gallery = gr.Gallery(
        label="The set", show_label=False, columns=6, fit_columns=False, height="auto",
        object_fit="contain", allow_preview=False, buttons=[], interactive=False,
        elem_id=f"{name}set", elem_classes="thumbs", visible=False,
    )  # fmt: skip
    pager = build_pager("Before", "After", f"{name}set-pager")
    build_captions(studio, project, name)
    pieces = PictureSet(summary, check, crop_mode, gallery, pager, editor)
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

    crop_mode.input(
        partial(on_crop_mode, studio), [project, pager.offset, crop_mode], pieces.outputs, **SILENT
    )
    gallery.select(on_select, [project, pager.offset], editor.outputs, **SILENT)
    for change in (check.select, editor.moved.change):
        handler = on_pressed if change is check.select else again
        change(handler, [project, pager.offset], pieces.outputs, **SILENT)
    return pieces


def show_set(studio: "Studio", project: int | None, offset: int = 0) -> tuple[Any, ...]:
    """A page of the set and what stands out in it, or how to begin when it is empty."""
    if project is None:
        return "", "", *(gr.update(visible=False),) * 2, *pager_updates(0, 0), hidden()
    view = studio.pictures.check(project)
    has_any = bool(view.num_pictures or view.repeats or view.left_out)
    views = studio.projects.pictures(project, offset=offset, limit=PAGE_SIZE)
    return (
        set_summary(view.num_pictures),
        check_html(view) if has_any else "",
        gr.update(value=view.crop_mode.value, visible=view.num_not_square > 0),
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
def on_crop_mode(studio: "Studio", project: int | None, offset: int, mode: str) -> tuple[Any, ...]:
    """Choose what is learned of all pictures that are no squares."""
    studio.pictures.crop_all(chosen(project), CropMode(mode))
    return show_set(studio, project, offset)


@shown_to_user
def on_aside(
    studio: "Studio", project: int | None, offset: int, values: Mapping[str, str]
) -> tuple[Any, ...]:
    """Take a picture that stands out into the set, or put it aside."""
    is_out = values["press"] == "drop"
    studio.pictures.leave_out(chosen(project), int(values["picture"]), is_out=is_out)
    return show_set(studio, project, offset)
