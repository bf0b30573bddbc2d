"""What counts as a sketch, and what becomes of it."""

import pytest
from PIL import Image, ImageDraw

from dyod_studio.errors import InvalidInputError
from dyod_studio.ui.canvas import saved, sketch_from_canvas

CLEAR = Image.new("RGBA", (64, 64), (0, 0, 0, 0))


def with_stroke() -> Image.Image:
    image = CLEAR.copy()
    ImageDraw.Draw(image).line((10, 32, 54, 32), fill=(200, 0, 0, 255), width=6)
    return image


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"background": None, "layers": [], "composite": None},
        {"background": None, "layers": None, "composite": None},
        {"background": None, "layers": [CLEAR], "composite": CLEAR},
        {"background": CLEAR, "layers": [CLEAR], "composite": CLEAR},
    ],
)
def test_an_untouched_canvas_is_refused_in_one_sentence(value):
    with pytest.raises(InvalidInputError, match="The canvas is empty"):
        sketch_from_canvas(value)


def test_strokes_alone_come_to_lie_on_white():
    stroke = with_stroke()
    sketch = sketch_from_canvas({"background": None, "layers": [stroke], "composite": stroke})
    assert sketch.mode == "RGB"
    assert sketch.getpixel((0, 0)) == (255, 255, 255)
    assert sketch.getpixel((32, 32)) == (200, 0, 0)


def test_a_picture_alone_is_a_sketch_too_even_when_it_is_white():
    white = Image.new("RGB", (64, 64), "white")
    sketch = sketch_from_canvas({"background": white, "layers": [CLEAR], "composite": white})
    assert sketch.getpixel((5, 5)) == (255, 255, 255)


def test_the_file_is_a_png_and_is_gone_afterwards(tmp_path):
    with saved(Image.new("RGB", (8, 8), "red"), tmp_path / "new") as path:
        image = Image.open(path)
        assert (image.format, image.getpixel((0, 0))) == ("PNG", (255, 0, 0))
        image.close()
    assert not path.exists()
