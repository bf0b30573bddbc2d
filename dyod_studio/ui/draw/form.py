"""The Draw screen's canvases and fields, and the request that they mean.

A field has the name that its value has in the request; beside those stand ``project``, both
canvases, ``is_locked`` (keep the seed) and ``references``. A field that was never in sight
arrives as None.
"""

import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr
from gradio.components.image_editor import EditorData
from PIL import Image, ImageChops

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.sampling import (
    CONTROL,
    DEFAULT_SAMPLER,
    DEFAULT_STEPS,
    IMAGE,
    REGION,
    SampleRequest,
    Start,
)
from dyod_studio.ui.common.handlers import (
    SILENT,
    any_text,
    chosen,
    guidance_in,
    read_parts,
    seed_in,
    whole_in,
)

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

Canvas = Mapping[str, Any] | None
"""What Gradio's canvas hands over: a background, layers and all of it together, or nothing."""

SIDE = 512
"""Side of the canvas in pixels."""
HEIGHT_PX = 450
UNTOUCHED = "The canvas is empty: draw something, or drop a picture on it."
REGION_COLOR = "#e0218a"
FIRST_COLORS = ("#1f2328", "#d64545", "#f2b134", "#2f9e6e", "#3b73c9", "#8a5cc2", "#ffffff")
"""Until the colours of the set are known."""
TAKE_BRUSHES = """
() => {
  const started = Date.now();
  const wanted = new Set(['#canvas', '#region']);
  const take = () => {
    for (const canvas of wanted) {
      const brush = document.querySelector(canvas + ' button[aria-label="Brush"]');
      if (!brush || brush.dataset.taken) { if (brush) wanted.delete(canvas); continue; }
      brush.dataset.taken = 'yes';
      brush.click();
      wanted.delete(canvas);
    }
    if (wanted.has('#canvas') && Date.now() - started < 20000) setTimeout(take, 150);
  };
  take();
}
"""
"""Gradio's canvas begins with the upload tool; most people come to draw."""


def build_canvas() -> gr.ImageEditor:
    """Brush, eraser, layers, undo, and pictures from a file, the clipboard or the camera."""
    return gr.ImageEditor(
        label="Sketch", show_label=False, type="pil", image_mode="RGBA", format="png",
        sources=("upload", "clipboard", "webcam"), transforms=(), layers=True,
        canvas_size=(SIDE, SIDE), fixed_canvas=True, height=HEIGHT_PX, elem_id="canvas",
        buttons=[], brush=brush_of(FIRST_COLORS), eraser=gr.Eraser(default_size=28),
        webcam_options=gr.WebcamOptions(mirror=False),
    )  # fmt: skip


def build_region() -> gr.ImageEditor:
    """A brush of one colour over a copy of the sketch: it marks what is drawn again."""
    return gr.ImageEditor(
        label="Region", show_label=False, type="pil", image_mode="RGBA", format="png",
        sources=(), transforms=(), layers=False, canvas_size=(SIDE, SIDE), fixed_canvas=True,
        height=HEIGHT_PX, elem_id="region", buttons=[], eraser=gr.Eraser(default_size=40),
        brush=gr.Brush(
            default_size=40, colors=[(REGION_COLOR, 0.7)], default_color=(REGION_COLOR, 0.7),
            color_mode="fixed",
        ),
    )  # fmt: skip


def brush_of(colors: Sequence[str]) -> gr.Brush:
    """A brush that offers these colours, and any other by hand."""
    return gr.Brush(
        default_size=14, colors=list(colors), default_color=colors[0], color_mode="defaults"
    )


def is_untouched(value: Canvas) -> bool:
    """Whether nothing was drawn on a canvas, nor a picture put there."""
    marks = () if value is None else (value.get("background"), *(value.get("layers") or ()))
    return not any(map(is_marked, marks))


def sketch_from_canvas(value: Canvas) -> Image.Image:
    """The canvas as a square RGB image, strokes on white where there is no picture under them.

    An untouched canvas arrives as None, as a mapping of Nones, or as transparent images. A picture
    that was put there and not drawn on arrives as it was, in its own size.

    Raises:
        InvalidInputError: nothing was drawn and no picture was dropped.
    """
    if value is None or is_untouched(value):
        raise InvalidInputError(UNTOUCHED)
    composite = value.get("composite")
    if composite is None:
        marks = [value.get("background"), *(value.get("layers") or ())]
        composite = _piled([mark for mark in marks if mark is not None])
    return _squared(_on_white(composite))


def region_from_canvas(value: Canvas) -> Image.Image | None:
    """White where the region brush has been, black elsewhere; None when it has been nowhere."""
    layers = [] if value is None else [layer for layer in value.get("layers") or () if layer]
    brushed = [layer.convert("RGBA").getchannel("A") for layer in layers if is_marked(layer)]
    if not brushed:
        return None
    union = brushed[0]
    for alpha in brushed[1:]:
        union = ImageChops.lighter(union, alpha)
    return union.point(lambda level: 255 if level else 0)


def marked_layer(mask: Image.Image) -> Image.Image:
    """A layer of the region brush that is marked where the mask is bright."""
    brightest = ImageChops.lighter(ImageChops.lighter(*mask.split()[:2]), mask.split()[2])
    layer = Image.new("RGBA", mask.size, REGION_COLOR)
    layer.putalpha(brightest.point(lambda level: 178 if level >= 128 else 0))
    return layer


def is_marked(image: Image.Image | None) -> bool:
    """Whether anything in the image can be seen."""
    if image is None:
        return False
    highest = image.convert("RGBA").getchannel("A").getextrema()[1]
    return bool(highest)


@contextmanager
def saved(image: Image.Image, folder: Path) -> Iterator[Path]:
    """The image as a PNG file for as long as the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="sketch-") as name:
        path = Path(name) / "sketch.png"
        image.save(path)
        yield path


def _piled(images: Sequence[Image.Image]) -> Image.Image:
    """One above the other, at the size of the last."""
    size = images[-1].size
    pile = Image.new("RGBA", size)
    for image in images:
        pile = Image.alpha_composite(pile, image.convert("RGBA").resize(size))
    return pile


def _on_white(image: Image.Image) -> Image.Image:
    picture = image.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _squared(image: Image.Image) -> Image.Image:
    """The whole picture in the middle of a white square, as the canvas shows it."""
    if image.width == image.height:
        return image
    side = max(image.size)
    square = Image.new("RGB", (side, side), "white")
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


FETCH = "(canvas, region) => ({canvas, region})"
TransferredCanvases = Mapping[str, Any] | None
"""What the browser laid down: of both canvases the files, or the id of what was sent already."""


class CanvasTransfer(NamedTuple):
    """Both canvases, and the place that holds what was on them when it was asked for."""

    canvas: gr.ImageEditor
    region: gr.ImageEditor
    transferred: gr.JSON

    def call(
        self, trigger: Callable[..., Any], handler: Callable[..., Any], inputs: Any, outputs: Any,
        **options: Any,
    ) -> Any:  # fmt: skip
        """At ``trigger``, fetch what lies on both, then call the handler."""
        fetched = trigger(None, [self.canvas, self.region], self.transferred, js=FETCH, **SILENT)
        return fetched.then(handler, inputs, outputs, **options)

    def read(self, transferred: TransferredCanvases) -> tuple[Canvas, Canvas]:
        """The sketch and the region as Gradio hands them over."""
        values = transferred or {}
        return (
            _value(self.canvas, values.get("canvas")),
            _value(self.region, values.get("region")),
        )


def build_canvas_transfer(canvas: gr.ImageEditor, region: gr.ImageEditor) -> CanvasTransfer:
    return CanvasTransfer(canvas, region, gr.JSON(visible=False))


def _value(editor: gr.ImageEditor, sent: Mapping[str, Any] | None) -> Canvas:
    if not sent:
        return None
    value: Canvas = editor.preprocess(EditorData.model_validate(sent))
    return value


WATCH = """
const tell = (event, wait) => setTimeout(() => trigger(event), wait);
const isLive = () => document.querySelector('#live input')?.checked;
const inside = (event, place) => event.target.closest?.(place);
let canvas = null;
const heard = {
  pointerdown: event => {
    canvas = inside(event, 'canvas') && inside(event, '#canvas, #region')?.id;
  },
  pointerup: () => {
    if (canvas === 'canvas' && isLive()) tell('select', 60);
    if (canvas === 'region') tell('edit', 60);
    canvas = null;
  },
  click: event => {
    if (inside(event, '#canvas button') && isLive()) tell('select', 200);
  },
  change: event => {
    if (inside(event, '#canvas') && event.target.type === 'file' && isLive()) tell('select', 1000);
  },
  paste: () => { if (document.querySelector('#canvas') && isLive()) tell('select', 1000); },
  drop: event => { if (inside(event, '#canvas') && isLive()) tell('select', 1000); },
};
for (const name in heard) document.addEventListener(name, heard[name], true);
"""
"""Runs in the browser: "select" after a stroke, an undo or a new picture on the canvas while Live
is on, "edit" after a stroke of the region brush."""


def build_canvas_events() -> gr.HTML:
    """A part of the page that is never seen and says what the hand has done."""
    return gr.HTML(
        elem_id="canvas-events", js_on_load=WATCH, elem_classes="conductor", padding=False
    )


MAX_NEW_SEED = 2**31
Fields = Mapping[str, Any]
"""Name of a field -> component."""
Values = Mapping[str, Any]
"""Name of a field -> its value."""


def read_form(fields: Fields, data: Mapping[Any, Any], transfer: CanvasTransfer) -> dict[str, Any]:
    """The values of the fields, from what Gradio hands over for the ``form_inputs``."""
    canvas, region = transfer.read(data[transfer.transferred])
    values = {name: data[component] for name, component in fields.items() if component in data}
    return {"canvas": canvas, "region": region, **values}


def form_inputs(fields: Fields, transfer: CanvasTransfer) -> set[Any]:
    """The fields, and in place of both canvases what was fetched from them."""
    return {*fields.values(), transfer.transferred} - {transfer.canvas, transfer.region}


def seed_for(values: Values) -> int:
    """The locked seed; a new one when it is not locked, or none was typed."""
    typed = seed_in(values.get("seed"))
    is_locked = values.get("is_locked") and typed is not None
    return typed if is_locked and typed is not None else secrets.randbelow(MAX_NEW_SEED)


@contextmanager
def request_for(
    studio: "Studio", scratch: Path, values: Values, **changes: Any
) -> Iterator[SampleRequest]:
    """The request that the fields mean; its pictures lie on the disk within the block.

    With examples and an empty canvas it is for new pictures after them.

    Raises:
        InvalidInputError: a field cannot be read, or the canvas is empty and there are no examples.
    """
    region = region_from_canvas(values.get("region"))
    project = studio.projects.get(chosen(values.get("project")))
    parts = read_parts(project.default_parts, values)
    start: Start = "image"
    if is_untouched(values.get("canvas")) and (parts["inputs"] or parts["condition_text"]):
        start = "distribution" if parts["inputs"] and "vae" in project.artifacts else "prompt"
    with ExitStack() as stack:
        if start == "image" or values.get("lines_lead"):
            sketch = sketch_from_canvas(values.get("canvas"))
            parts["inputs"][IMAGE] = stack.enter_context(saved(sketch, scratch))
        if values.get("lines_lead"):
            parts["inputs"][CONTROL] = parts["inputs"][IMAGE]
        if region is not None:
            parts["inputs"][REGION] = stack.enter_context(saved(region, scratch))
        request = SampleRequest(
            kind=start,
            t0=1 if start == "prompt" else values.get("t0", 0.5),
            num_images=whole_in("Pictures", values.get("num_images", 1)),
            guidance_scale=guidance_in(values.get("guidance_scale")),
            num_inference_steps=whole_in("Steps", values.get("num_inference_steps", DEFAULT_STEPS)),
            timestep_spacing=values.get("timestep_spacing") or "trailing",
            sampler=values.get("sampler") or DEFAULT_SAMPLER,
            prompt=any_text(values.get("prompt")),
            control_scale=values.get("control_scale", 1.0),
            control_until=values.get("control_until", 1.0),
            seed=seed_for(values),
            **parts,
        )
        yield request.replace(**changes)


def visitor_of(request: gr.Request | None) -> str:
    """Name of this browser window within the studio."""
    return "" if request is None else str(request.session_hash)
