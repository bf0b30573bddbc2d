"""The advice on a set, and what it is made from."""

import pytest
from PIL import Image, ImageFilter

from dyod_studio.datasets.advice import ICONS_ONLY, PictureFacts, advise, small_ones, soft_ones
from dyod_studio.datasets.images import plain_ground
from dyod_studio.datasets.importing import sharpness
from dyod_studio.settings import ASSETS_DIR
from tests.datasets.pictures import photo

FACE = ASSETS_DIR / "examples" / "faces" / "grinning-face.png"


def face() -> Image.Image:
    with Image.open(FACE) as image:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def pictures(number, *, side=512, sharp=200.0, ground="#ffffff"):
    return [PictureFacts(side, sharp, ground)] * number


@pytest.mark.parametrize(
    ("facts", "first"),
    [
        ([], "0 pictures: add more, 20 at least for a style."),
        (pictures(1), "1 picture: add more, 20 at least for a style."),
        (
            pictures(5),
            "5 pictures on white: enough for one subject; add other backgrounds, or it learns this"
            " one with it. For a style add more, 20 at least.",
        ),
        (
            pictures(24),
            "24 pictures on white: fine for a style; for a subject add other backgrounds.",
        ),
        (
            [*pictures(20, ground="#fefefc"), *pictures(4, ground="")],
            "24 pictures on white: fine for a style; for a subject add other backgrounds.",
        ),
        (
            pictures(24, ground="#102030"),
            "24 pictures on one plain background: fine for a style; for a subject add other"
            " backgrounds.",
        ),
        (
            [*pictures(12), *pictures(12, ground="#000000")],
            "24 pictures on different backgrounds: fine for a style, and for a subject that they"
            " all show.",
        ),
        (
            pictures(1200, ground=None),
            "1,200 pictures on different backgrounds: fine for a style, and for a subject that"
            " they all show.",
        ),
    ],
)
def test_a_colleague_says_what_the_set_is_good_for(facts, first):
    assert advise(facts)[0] == first


def test_what_stands_out_is_said_with_its_number():
    facts = [*pictures(40), PictureFacts(100, 200.0, ""), *pictures(2, sharp=9.0)]
    said = advise(facts, num_repeats=1)
    assert said[1:] == [
        "2 pictures look blurred; the model would learn the blur.",
        "1 picture is much smaller than the others and will be enlarged.",
        "1 picture repeats another: it stays out unless you keep it.",
    ]
    assert (small_ones(facts), soft_ones(facts)) == ([40], [41, 42])


def test_a_set_that_nobody_judged_has_nothing_that_stands_out():
    assert soft_ones(pictures(9, sharp=None)) == []
    assert small_ones([]) == soft_ones([]) == []


def test_blur_and_enlargement_show_in_the_sharpness():
    sharp = face().resize((512, 512))
    blurred = sharp.filter(ImageFilter.GaussianBlur(8))
    enlarged = face().resize((40, 40)).resize((512, 512), Image.Resampling.BICUBIC)
    assert sharpness(sharp) > 4 * sharpness(blurred)
    assert sharpness(sharp) > 2 * sharpness(enlarged)
    assert sharpness(Image.new("RGB", (64, 64), "red")) == 0


def test_a_plain_ground_is_told_by_its_colour_and_a_photograph_has_none():
    assert plain_ground(face()) == "#ffffff"
    assert plain_ground(Image.new("RGB", (40, 90), "#102030")) == "#102030"
    assert plain_ground(photo(1)) == ""


@pytest.mark.parametrize(
    ("grounds", "is_told"),
    [
        (["", "", "#ffffff"], True),
        (["", "", "", ""], True),
        (["", "#ffffff", "#ffffff"], False),
        ([None, None, None], False),
        ([], False),
    ],
)
def test_photographs_are_told_that_a_base_of_icons_cannot_draw_them(grounds, is_told):
    pictures = [PictureFacts(512, 200.0, ground) for ground in grounds]
    told = advise(pictures, knows_icons_only=True)
    assert (told[0] == ICONS_ONLY) is is_told
    assert ICONS_ONLY not in advise(pictures)
