"""From what Gradio's canvas hands over to a picture on disk."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from dyod_studio.errors import InvalidInputError

UNTOUCHED = "The canvas is empty: draw something, or drop a picture on it."


def sketch_from_canvas(value: Mapping[str, Any] | None) -> Image.Image:
    """The canvas as an RGB image, strokes on white where there is no picture under them.

    An untouched canvas arrives as None, as a mapping of Nones, or as transparent images.

    Raises:
        InvalidInputError: nothing was drawn and no picture was dropped.
    """
    if value is None:
        raise InvalidInputError(UNTOUCHED)
    marks = [value.get("background"), *(value.get("layers") or ())]
    composite = value.get("composite")
    if composite is None or not any(map(is_marked, marks)):
        raise InvalidInputError(UNTOUCHED)
    picture = composite.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


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
