"""Lines of pictures and of drawings, and how far two pictures share their edges."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from dyod_studio.datasets.lines import LineStyle, any_style, edge_agreement, lines_of

EIGHT = np.ones((3, 3))


def circle(side=128, fill=None, outline="black", width=4, moved=0, ground="white"):
    picture = Image.new("RGB", (side, side), ground)
    box = [side * 0.2 + moved, side * 0.2, side * 0.8 + moved, side * 0.8]
    ImageDraw.Draw(picture).ellipse(box, fill=fill, outline=outline, width=width)
    return picture


def num_lines(lines):
    return ndimage.label(lines > 0.5, EIGHT)[1]


@pytest.mark.parametrize(
    "picture",
    [
        circle(),
        circle(fill="gold"),
        circle(fill="tomato", outline=None),
        circle(fill=(226, 220, 240), outline=None),
        circle(512, width=14),
    ],
    ids=["stroke", "outlined", "flat", "pale", "large"],
)
def test_a_stroke_an_outline_and_an_edge_become_one_closed_line(picture):
    lines = lines_of(picture)
    assert lines.shape == picture.size
    assert (lines.min(), lines.max()) == (0, 1)
    assert num_lines(lines) == 1
    inside = ndimage.binary_fill_holes(lines > 0.5)
    assert inside.sum() == pytest.approx(np.pi * (0.3 * picture.width) ** 2, rel=0.15)
    width = lines.sum() / (2 * np.pi * 0.3 * picture.width)
    assert width == pytest.approx(2 * picture.width / 128, rel=0.25)


@pytest.mark.parametrize("colour", ["white", "black", "tomato"])
def test_where_nothing_is_drawn_there_is_no_line(colour):
    assert not lines_of(Image.new("RGB", (64, 64), colour)).any()


def test_a_hand_is_the_same_with_the_same_numbers_and_never_leaves_the_range():
    for seed in range(20):
        one, other = (
            lines_of(circle(fill="gold"), any_style(random), random)
            for random in (np.random.default_rng(seed), np.random.default_rng(seed))
        )
        assert np.array_equal(one, other)
        assert one.dtype == np.float32
        assert (one >= 0).all()
        assert (one <= 1).all()


def test_a_hand_wobbles_leaves_strokes_out_and_forgets_a_corner():
    picture = circle()
    pen = ImageDraw.Draw(picture)
    for place in range(8, 120, 16):
        pen.line([(place, 4), (place, 18)], fill="black", width=3)
    whole = lines_of(picture)
    random = np.random.default_rng(0)
    wobbled = lines_of(picture, LineStyle(wobble=2.5), random)
    assert 0.1 < np.abs(wobbled - whole).sum() / whole.sum() < 2
    far = ndimage.distance_transform_edt(whole < 0.5)[wobbled > 0.5].max()
    assert 0 < far <= 4
    fewer = lines_of(picture, LineStyle(dropped=0.5), random)
    assert 0 < num_lines(fewer) < num_lines(whole)
    assert (fewer <= whole + 1e-6).all()
    corner = lines_of(picture, LineStyle(corner=70), random)
    assert 0 < corner.sum() < whole.sum()


def test_two_pictures_agree_by_where_their_edges_are_and_not_by_their_colours():
    picture = circle(fill="gold")
    assert edge_agreement(picture, picture) == pytest.approx(1)
    assert edge_agreement(picture, circle(fill="navy")) > 0.8
    moved = [edge_agreement(picture, circle(fill="gold", moved=by)) for by in (2, 6, 20)]
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > 0.8 > 0.5 > moved[-1]
    assert edge_agreement(picture, Image.new("RGB", (128, 128))) == 0
