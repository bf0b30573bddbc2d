"""Several pictures at once: compared, packed, marked, put into the bin and brought back."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.errors import InvalidInputError
from dyod_studio.services.gallery.views import GalleryFilter
from dyod_studio.ui.common.handlers import chosen
from dyod_studio.ui.common.html import counted, note

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

TRAY_SIZE = 12
"""Pictures of a choice that are shown; the rest is a number."""
Ids = tuple[int, ...]


class Tray(NamedTuple):
    """Pictures that were chosen, and what can be done with them."""

    ids: gr.State
    panel: gr.Column
    words: gr.HTML
    thumbs: gr.Gallery
    compare: gr.Button
    favorite: gr.Button
    remove: gr.Button
    clear: gr.Button

    @property
    def outputs(self) -> list[Any]:
        """Components that ``tray_updates`` gives new values to, in its order."""
        return [self.ids, self.panel, self.words, self.thumbs, self.compare, self.remove]


class Undo(NamedTuple):
    """The sentence after a deletion; ``ids`` are what it would bring back."""

    ids: gr.State
    panel: gr.Row
    words: gr.HTML
    press: gr.Button

    @property
    def outputs(self) -> list[Any]:
        return [self.ids, self.panel, self.words]


class Compared(NamedTuple):
    """Two pictures under one slider."""

    panel: gr.Column
    slider: gr.ImageSlider
    words: gr.HTML
    close: gr.Button

    @property
    def outputs(self) -> list[Any]:
        return [self.panel, self.slider, self.words]


def build_undo() -> Undo:
    ids = gr.State(())
    with gr.Row(visible=False, elem_id="gallery-undo", elem_classes="ask") as panel:
        words = gr.HTML(padding=False)
        press = gr.Button("Undo", size="sm", scale=0, min_width=90, elem_id="gallery-undo-press")
    return Undo(ids, panel, words, press)


def build_compared() -> Compared:
    with gr.Column(visible=False, elem_id="gallery-compare-panel") as panel:
        with gr.Row(elem_classes="headed"):
            words = gr.HTML(padding=False)
            close = gr.Button(
                "Close", size="sm", scale=0, min_width=80, elem_id="gallery-compare-close"
            )
        slider = gr.ImageSlider(
            label="Left and right of the slider", show_label=False, interactive=False,
            type="filepath", format="png", max_height=560, elem_id="gallery-slider",
            buttons=["fullscreen"],
        )  # fmt: skip
    return Compared(panel, slider, words, close)


def build_tray() -> Tray:
    ids = gr.State(())
    with gr.Column(visible=False, elem_id="gallery-tray") as panel:
        words = gr.HTML(padding=False)
        thumbs = gr.Gallery(
            label="Chosen pictures", show_label=False, columns=TRAY_SIZE, height="auto",
            object_fit="contain", allow_preview=False, buttons=[], interactive=False,
            elem_id="gallery-chosen", elem_classes=["thumbs", "strip"],
        )  # fmt: skip
        with gr.Row(elem_classes="tray-ways"):
            compare = gr.Button("Compare the two", size="sm", elem_id="gallery-compare",
                                min_width=120)  # fmt: skip
            favorite = gr.Button("♥ Favourites", size="sm", elem_id="gallery-mark", min_width=110)
            remove = gr.Button(
                "Delete", size="sm", variant="stop", elem_id="gallery-delete-chosen", min_width=90
            )
            clear = gr.Button("Choose none", size="sm", elem_id="gallery-clear", min_width=100)
    return Tray(ids, panel, words, thumbs, compare, favorite, remove, clear)


def tray_updates(studio: "Studio", project: int | None, ids: Ids, *, in_bin: bool) -> Any:
    """The tray with these pictures in it; hidden when there are none."""
    if project is None or not ids:
        return (), gr.update(visible=False), "", None, gr.update(), gr.update()
    views = studio.gallery.of_ids(project, ids[:TRAY_SIZE])
    more = f", {len(ids) - TRAY_SIZE:,} of them not shown here" if len(ids) > TRAY_SIZE else ""
    return (
        ids,
        gr.update(visible=True),
        f'<div class="heading"><h3>{counted(len(ids), "picture")} chosen</h3>'
        f"<p>Pack them under Take with you, or one of these{more}.</p></div>",
        [(str(view.thumbnail), f"number {view.id}") for view in views],
        gr.update(interactive=len(ids) == 2),
        gr.update(value="Bring back" if in_bin else "Delete"),
    )


def toggled(ids: Ids, picture_id: int) -> Ids:
    """The choice with one more picture, or without it."""
    if picture_id in ids:
        return tuple(other for other in ids if other != picture_id)
    return (*ids, picture_id)


def all_of(studio: "Studio", project: int | None, asked: GalleryFilter) -> Ids:
    """Every picture that the filter lets pass."""
    return tuple(studio.gallery.ids(chosen(project), asked))


def compared_updates(studio: "Studio", project: int | None, ids: Ids) -> tuple[Any, ...]:
    """The two pictures under one slider.

    Raises:
        InvalidInputError: not two were chosen.
    """
    if len(ids) != 2:
        raise InvalidInputError(f"Choose two pictures to compare, got {len(ids)}.")
    left, right = studio.gallery.of_ids(chosen(project), ids)
    text = f"Left: number {left.id}, seed {left.seed}. Right: number {right.id}, seed {right.seed}."
    return (
        gr.update(visible=True),
        (str(left.file), str(right.file)),
        f'<div class="heading"><h3>Compare</h3><p>{text}</p></div>',
    )


def removed(
    studio: "Studio", project: int | None, ids: Sequence[int], *, in_bin: bool
) -> tuple[Any, ...]:
    """Put pictures into the bin, or bring them back out of it; what ``Undo`` shows then."""
    move: Callable[..., None] = studio.gallery.restore if in_bin else studio.gallery.delete
    move(chosen(project), ids)
    if in_bin:
        gr.Info(f"{counted(len(ids), 'picture')} brought back.")
        return (), gr.update(visible=False), ""
    text = f"{counted(len(ids), 'picture')} deleted. The bin keeps what is deleted for a week."
    return tuple(ids), gr.update(visible=True), note(text)
