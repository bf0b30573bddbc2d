"""What counts as a sketch, and what becomes of it."""

import pytest
from PIL import Image, ImageDraw

from dyod_studio.errors import InvalidInputError
from dyod_studio.ui.draw.form import saved, sketch_from_canvas

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


def test_a_picture_that_was_put_there_and_not_drawn_on_keeps_its_pixels():
    picture = Image.effect_noise((48, 48), 90).convert("RGBA")
    sketch = sketch_from_canvas({"background": picture, "layers": [], "composite": None})
    assert sketch.tobytes() == picture.convert("RGB").tobytes()


def test_strokes_over_a_picture_that_came_without_both_together_are_laid_on_it():
    picture = Image.new("RGBA", (32, 32), "blue")
    value = {"background": picture, "layers": [with_stroke()], "composite": None}
    sketch = sketch_from_canvas(value)
    assert (sketch.size, sketch.getpixel((32, 32))) == ((64, 64), (200, 0, 0))
    assert sketch.getpixel((2, 2)) == (0, 0, 255)


def test_a_tall_panorama_is_seen_whole_on_a_white_square():
    tall = Image.new("RGBA", (60, 400), "red")
    sketch = sketch_from_canvas({"background": tall, "layers": [], "composite": tall})
    assert (sketch.size, sketch.getpixel((200, 5))) == ((400, 400), (255, 0, 0))
    assert sketch.getpixel((5, 5)) == (255, 255, 255)


def test_a_transparent_picture_lies_on_white():
    clear = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    clear.paste((255, 0, 0, 255), (20, 20, 40, 40))
    sketch = sketch_from_canvas({"background": clear, "layers": [CLEAR], "composite": clear})
    assert (sketch.getpixel((1, 1)), sketch.getpixel((30, 30))) == ((255, 255, 255), (255, 0, 0))


def test_the_file_is_a_png_and_is_gone_afterwards(tmp_path):
    with saved(Image.new("RGB", (8, 8), "red"), tmp_path / "new") as path:
        image = Image.open(path)
        assert (image.format, image.getpixel((0, 0))) == ("PNG", (255, 0, 0))
        image.close()
    assert not path.exists()
