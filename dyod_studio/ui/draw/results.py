"""Results beside the canvas: the pictures, before and after, and going on from one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from dyod_studio.errors import InvalidInputError
from dyod_studio.services.views import GenerationView
from dyod_studio.ui.common.handlers import PRIVATE, SILENT, shown_to_user
from dyod_studio.ui.common.html import heading
from dyod_studio.ui.draw.canvas import (
    SIDE,
    Canvas,
    CanvasTransfer,
    TransferredCanvases,
    sketch_from_canvas,
)

HEIGHT_PX = 500
NOTHING_YET = "There is no picture yet: make one first."


@dataclass(frozen=True, slots=True)
class ResultsState:
    """The pictures in sight: (file, caption), and which of them was clicked last."""

    pictures: tuple[tuple[str, str], ...] = ()
    chosen: int = 0

    @property
    def file(self) -> str:
        """The picture that was clicked, or the first.

        Raises:
            InvalidInputError: nothing was made yet.
        """
        if not self.pictures:
            raise InvalidInputError(NOTHING_YET)
        return self.pictures[min(self.chosen, len(self.pictures) - 1)][0]


class Results(NamedTuple):
    """The components; ``shown`` holds a Shown."""

    gallery: gr.Gallery
    slider: gr.ImageSlider
    shown: gr.State
    adopt: gr.Button
    compare: gr.Button
    sheet: gr.DownloadButton

    @property
    def outputs(self) -> list[Any]:
        """Components that ``result_updates`` gives new values to, in its order."""
        return [self.gallery, self.slider, self.shown, self.compare, self.sheet]


def build_results() -> Results:
    """Lay out the pane; ``wire_results`` connects it."""
    gr.HTML(heading("Your picture", "Drawn again the way your set would have it."))
    gallery = gr.Gallery(
        label="Results", show_label=False, columns=1, height=HEIGHT_PX, object_fit="contain",
        buttons=["download", "fullscreen"], interactive=False, format="png", elem_id="results",
    )  # fmt: skip
    slider = gr.ImageSlider(
        label="Before and after", show_label=False, type="filepath", format="png", visible=False,
        height=HEIGHT_PX, max_height=HEIGHT_PX, interactive=False, buttons=["fullscreen"],
        elem_id="before-after", elem_classes="frame",
    )  # fmt: skip
    with gr.Row(elem_classes="acts"):
        adopt = gr.Button("Use as sketch", elem_id="use-as-sketch", min_width=120)
        compare = gr.Button("Before and after", elem_id="compare", min_width=120)
        sheet = gr.DownloadButton("Take the sheet", visible=False, elem_id="sheet", min_width=120)
    return Results(gallery, slider, gr.State(ResultsState()), adopt, compare, sheet)


def wire_results(results: Results, transfer: CanvasTransfer, project: gr.State) -> None:
    """Connect the pane to the canvas."""

    def on_compared(
        before_after: Any, shown: ResultsState, transferred: TransferredCanvases
    ) -> tuple[Any, Any, Any]:
        return on_compare(before_after, shown, transfer.read(transferred)[0])

    def on_select(shown: ResultsState, event: gr.SelectData) -> ResultsState:
        return ResultsState(shown.pictures, int(event.index))

    results.gallery.select(on_select, results.shown, results.shown, **SILENT)
    results.adopt.click(on_adopt, results.shown, transfer.canvas, **PRIVATE)
    transfer.call(
        results.compare.click, on_compared, [results.slider, results.shown, transfer.transferred],
        [results.gallery, results.slider, results.compare], **SILENT,
    )  # fmt: skip
    project.change(partial(result_updates, ()), None, results.outputs, **SILENT)


def result_updates(
    pictures: Sequence[tuple[str, str]], columns: int | None = None, sheet: str | None = None
) -> tuple[Any, ...]:
    """New pictures in sight, as large as they can be; the slider gives way to them."""
    columns = columns or (1 if len(pictures) < 2 else 2 if len(pictures) < 5 else 3)
    return (
        gr.update(value=list(pictures), columns=columns, visible=True, selected_index=None),
        gr.update(visible=False, value=None),
        ResultsState(tuple(pictures)),
        gr.update(value="Before and after"),
        gr.update(value=sheet, visible=sheet is not None),
    )


def captioned(views: Sequence[GenerationView]) -> list[tuple[str, str]]:
    """Pictures for a gallery, each under its seed."""
    return [(str(view.file), f"seed {view.seed}") for view in views]


@shown_to_user
def on_adopt(shown: ResultsState) -> str:
    """Put the picture on the canvas, to be drawn on or changed in a part."""
    return shown.file


@shown_to_user
def on_compare(before_after: Any, shown: ResultsState, canvas: Canvas) -> tuple[Any, Any, Any]:
    """Lay the sketch and the picture over one another, or go back to the pictures."""
    if before_after is not None:
        return (
            gr.update(visible=True),
            gr.update(visible=False, value=None),
            gr.update(value="Before and after"),
        )
    after = shown.file
    sketch = sketch_from_canvas(canvas).resize((SIDE, SIDE))
    return (
        gr.update(visible=False),
        gr.update(visible=True, value=(sketch, after)),
        gr.update(value="Back to the pictures"),
    )
