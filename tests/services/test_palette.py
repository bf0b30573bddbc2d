"""Brushes in the colours of a set."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dyod_studio.services.sampling.palette import (
    INK,
    PAPER,
    USUAL,
    find_colors,
    palette_of,
    to_oklab,
    to_srgb,
)


def face(path, colour, ground="white"):
    image = Image.new("RGB", (256, 256), ground)
    pen = ImageDraw.Draw(image)
    pen.ellipse((60, 60, 200, 200), fill=colour, outline="black", width=8)
    image.save(path, "WEBP", lossless=True)
    return path


def rgb(text):
    return np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)])


def test_the_colours_of_a_set_on_white_are_its_own_and_white_takes_no_place_of_theirs(tmp_path):
    wanted = ["#d02020", "#2060d0", "#20a040"]
    paths = [face(tmp_path / f"{n}.webp", colour) for n, colour in enumerate(wanted)]
    found = find_colors(paths)
    assert found[0] == "#000000"
    assert found[-1] == PAPER
    for colour in wanted:
        assert min(np.abs(rgb(colour) - rgb(other)).max() for other in found) <= 6
    assert len(found) <= 6
    assert find_colors(paths) == found


def test_a_set_without_anything_dark_still_gets_a_line_to_draw_with(tmp_path):
    Image.new("RGB", (64, 64), "#ffd0d0").save(tmp_path / "a.webp", lossless=True)
    assert find_colors([tmp_path / "a.webp"]) == [INK, "#ffd0d0", PAPER]


def test_white_pictures_leave_ink_and_paper(tmp_path):
    Image.new("RGB", (64, 64), "white").save(tmp_path / "a.webp", lossless=True)
    assert find_colors([tmp_path / "a.webp"]) == [INK, PAPER]


def test_a_coloured_ground_is_a_colour_of_the_set(tmp_path):
    path = face(tmp_path / "a.webp", "#f0f000", ground="#203060")
    found = find_colors([path])
    assert min(np.abs(rgb("#203060") - rgb(other)).max() for other in found) <= 6


def test_a_project_without_pictures_has_the_usual_brushes_and_then_its_own_found_once(
    studio, storage, shoes, monkeypatch
):
    assert palette_of(storage, shoes.id) == USUAL
    studio.projects.add_examples(shoes.id)
    found = palette_of(storage, shoes.id)
    assert found != USUAL
    monkeypatch.setattr("dyod_studio.services.sampling.palette.find_colors", None)
    assert palette_of(storage, shoes.id) == found == studio.sampling.palette(shoes.id)


def test_oklab_and_back_is_the_same_colour():
    colours = np.array([[0.0, 0.0, 0.0], [1, 1, 1], [0.8, 0.2, 0.1], [0.02, 0.5, 0.9]])
    assert to_srgb(to_oklab(colours)) == pytest.approx(colours, abs=1e-4)
    assert to_oklab(colours)[1] == pytest.approx([1, 0, 0], abs=1e-4)
