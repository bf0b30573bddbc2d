"""One picture of the set: the square that is learned, a caption, in or out."""

from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.services.pictures import MIN_CROP_PX, PictureDetails
from dyod_studio.ui.common.controls import Slider
from dyod_studio.ui.common.handlers import SILENT, chosen, shown_to_user
from dyod_studio.ui.common.html import data_uri

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

SHOWN_PX = 480
SHOWN_HEIGHT_PX = 320


class Editor(NamedTuple):
    """The panel; ``picture`` is the id of the one in hand, ``moved`` counts ins and outs."""

    panel: gr.Row
    picture: gr.State
    view: gr.HTML
    size: gr.Slider
    across: gr.Slider
    down: gr.Slider
    caption: gr.Textbox
    moved: gr.State

    @property
    def outputs(self) -> list[Any]:
        """Components that ``on_picture`` fills."""
        return list(self[:-1])


def build_editor(studio: "Studio", project: gr.State, name: str = "") -> Editor:
    """Lay out and wire it; it comes into sight with the first picture that is pressed."""
    picture, moved = gr.State(None), gr.State(0)
    with gr.Row(visible=False, elem_id=f"{name}editor", elem_classes="editor") as panel:
        with gr.Column(scale=2, min_width=260):
            view = gr.HTML(elem_id=f"{name}crop", padding=False)
        with gr.Column(scale=3, min_width=280):
            size = _share(
                "Size of the square",
                "What of it is learned (crop); 100 is all of it.",
                f"{name}crop-size",
            )
            across = _share("From the left", "Where the square lies.", f"{name}crop-across")
            down = _share("From the top", "Where the square lies.", f"{name}crop-down")
            caption = gr.Textbox(
                label="Caption", max_lines=2, elem_id=f"{name}caption",
                info="What it shows, for the set style. Empty: its file name. Enter keeps it.",
            )  # fmt: skip
            with gr.Row():
                out = gr.Button("Leave it out", size="sm", elem_id=f"{name}leave-out", min_width=90)
                done = gr.Button("Close", size="sm", elem_id=f"{name}close-editor", min_width=90)
    sliders = [size, across, down]
    for slider in sliders:
        slider.input(
            partial(on_crop, studio), [project, picture, *sliders], view,
            trigger_mode="always_last", **SILENT,
        )  # fmt: skip
    gr.on(
        [caption.submit, caption.blur], partial(on_caption, studio), [project, picture, caption],
        None, **SILENT,
    )  # fmt: skip
    out.click(partial(on_out, studio), [project, picture, moved], [panel, moved], **SILENT)
    gr.on([done.click, project.change], hidden, None, panel, **SILENT)
    return Editor(panel, picture, view, size, across, down, caption, moved)


def hidden() -> Any:
    return gr.update(visible=False)


@shown_to_user
def on_picture(studio: "Studio", project: int | None, place: int) -> tuple[Any, ...]:
    """Take the picture at this place of the set in hand."""
    views = studio.projects.pictures(chosen(project), offset=place, limit=1)
    if not views:
        return (hidden(), *(gr.skip(),) * 6)
    picture = studio.pictures.get(chosen(project), views[0].id)
    size, across, down = shares(picture)
    width, height = picture.width, picture.height
    return (
        gr.update(visible=True),
        picture.id,
        crop_html(picture),
        size,
        gr.update(value=across, interactive=width != height or width > picture.crop_side),
        gr.update(value=down, interactive=width != height or height > picture.crop_side),
        picture.caption,
    )


@shown_to_user
def on_crop(
    studio: "Studio", project: int | None, picture: int | None, *percent: float | None
) -> Any:
    """Move the square; what lies between its places is a share of the room that it has."""
    if picture is None:
        return gr.skip()
    before = studio.pictures.get(chosen(project), picture)
    size, across, down = (min(max(value or 0.0, 0.0), 100.0) / 100 for value in percent)
    side = max(round(max(before.width, before.height) * size), least_side(before))
    left, top = round((before.width - side) * across), round((before.height - side) * down)
    return crop_html(studio.pictures.crop(chosen(project), picture, left=left, top=top, side=side))


@shown_to_user
def on_caption(
    studio: "Studio", project: int | None, picture: int | None, text: str | None
) -> None:
    if picture is not None:
        studio.captions.write(chosen(project), {picture: text or ""})


@shown_to_user
def on_out(
    studio: "Studio", project: int | None, picture: int | None, moved: int
) -> tuple[Any, int]:
    """Put the picture in hand aside."""
    if picture is not None:
        studio.pictures.leave_out(chosen(project), picture)
    return hidden(), moved + 1


def least_side(picture: PictureDetails) -> int:
    return min(MIN_CROP_PX, picture.width, picture.height)


def shares(picture: PictureDetails) -> tuple[float, float, float]:
    """Size and place of the square, in percent of the room that there is."""
    side = picture.crop_side
    size = 100 * side / max(picture.width, picture.height)
    across, down = (
        100 * at / room if room else 50.0
        for at, room in (
            (picture.crop_left, picture.width - side),
            (picture.crop_top, picture.height - side),
        )
    )
    return round(size), round(across), round(down)


def crop_html(picture: PictureDetails) -> str:
    """The whole picture and the square, with what is not learned in the shade."""
    width, height, side = picture.width, picture.height, picture.crop_side
    left, top = picture.crop_left, picture.crop_top
    ground = min(left, 0), min(top, 0), max(left + side, width), max(top + side, height)
    across, down = ground[2] - ground[0], ground[3] - ground[1]

    def place(left: int, top: int, width: int, height: int) -> str:
        return (
            f"left:{100 * (left - ground[0]) / across:.2f}%;"
            f"top:{100 * (top - ground[1]) / down:.2f}%;"
            f"width:{100 * width / across:.2f}%;height:{100 * height / down:.2f}%"
        )

    return (
        f'<figure class="crop"><div style="aspect-ratio:{across}/{down};'
        f"width:min(100%,{round(SHOWN_HEIGHT_PX * across / down)}px);"
        f'background:{picture.padding or "none"}">'
        f'<img alt="" style="{place(0, 0, width, height)}"'
        f' src="{data_uri(picture.thumbnail, SHOWN_PX)}">'
        f'<i style="{place(left, top, side, side)}"></i></div>'
        f"<figcaption>{escape(picture.name)} · {width} x {height}, learned: {side} x {side}"
        "</figcaption></figure>"
    )


def _share(label: str, info: str, elem_id: str) -> gr.Slider:
    return Slider(0, 100, value=50, step=1, label=label, info=info, elem_id=elem_id)
