"""What lies on the canvas and under the region brush, fetched when a press wants it.

A canvas that is itself an input of an event is asked for its value again at every later event of
the page, and answers by uploading all of its layers (see ``calm``). So a press first has the
browser lay both values into a place that is never seen, and the event reads that.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gradio as gr
from gradio.components.image_editor import EditorData

from dyod_studio.ui.studio.canvas import Canvas
from dyod_studio.ui.wiring import SILENT

FETCH = "(canvas, region) => ({canvas, region})"
Carried = Mapping[str, Any] | None
"""What the browser laid down: of both canvases the files, or the id of what was sent already."""


class Carrier(NamedTuple):
    """Both canvases, and the place that holds what was on them when it was asked for."""

    canvas: gr.ImageEditor
    region: gr.ImageEditor
    carried: gr.JSON

    def call(
        self, trigger: Callable[..., Any], handler: Callable[..., Any], inputs: Any, outputs: Any,
        **options: Any,
    ) -> Any:  # fmt: skip
        """At ``trigger``, fetch what lies on both, then call the handler."""
        fetched = trigger(None, [self.canvas, self.region], self.carried, js=FETCH, **SILENT)
        return fetched.then(handler, inputs, outputs, **options)

    def read(self, carried: Carried) -> tuple[Canvas, Canvas]:
        """The sketch and the region as Gradio hands them over."""
        said = carried or {}
        return (_value(self.canvas, said.get("canvas")), _value(self.region, said.get("region")))


def build_carrier(canvas: gr.ImageEditor, region: gr.ImageEditor) -> Carrier:
    return Carrier(canvas, region, gr.JSON(visible=False))


def _value(editor: gr.ImageEditor, sent: Mapping[str, Any] | None) -> Canvas:
    if not sent:
        return None
    value: Canvas = editor.preprocess(EditorData.model_validate(sent))
    return value
