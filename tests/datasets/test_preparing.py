import io

import numpy as np
import pytest
from PIL import Image

from dyod_studio.datasets.images import (
    Crop,
    centre_crop,
    choose_crop,
    content_crop,
    prepare,
    thumbnail,
    whole_crop,
)
from dyod_studio.requests.cropping import CropMode
from tests.datasets.pictures import RED, WHITE, is_near, photo


def with_object_at(left: int, size: tuple[int, int] = (300, 100)) -> Image.Image:
    image = Image.new("RGB", size, WHITE)
    image.paste(photo(3, (50, 60)), (left, 20))
    return image


@pytest.mark.parametrize(
    ("size", "crop"),
    [((100, 60), Crop(20, 0, 60)), ((60, 101), Crop(0, 20, 60)), ((7, 7), Crop(0, 0, 7))],
)
def test_the_centre_crop_is_the_largest_square_in_the_middle(size, crop):
    assert centre_crop(size) == crop


@pytest.mark.parametrize("left", [0, 10, 60, 125, 230, 250])
def test_the_content_crop_holds_the_whole_object_wherever_it_is(left):
    crop = content_crop(with_object_at(left))
    assert (crop.top, crop.side) == (0, 100)
    assert crop.left <= left + 3
    assert left + 47 <= crop.left + crop.side
    assert 0 <= crop.left <= 200


def test_the_content_crop_slides_down_a_portrait_too():
    image = with_object_at(230).transpose(Image.Transpose.ROTATE_270)
    crop = content_crop(image)
    assert (crop.left, crop.side) == (0, 100)
    assert crop.top >= 177


def test_an_object_away_from_the_middle_ends_up_in_the_middle_of_its_square():
    crop = content_crop(with_object_at(220, size=(400, 100)))
    assert abs(crop.left + crop.side / 2 - 245) < 12


@pytest.mark.parametrize("image", [Image.new("RGB", (300, 100), RED), photo(1, (90, 90))])
def test_a_plain_or_square_picture_keeps_its_centre(image):
    assert content_crop(image) == centre_crop(image.size)


@pytest.mark.parametrize("size", [(5000, 33), (33, 5000), (101, 100), (33, 32)])
def test_the_content_crop_lies_inside_every_shape_of_picture(size):
    crop = content_crop(photo(2, size))
    left, top, right, bottom = crop.box
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    assert crop.side == min(size)


@pytest.mark.parametrize("side", [40, 128, 1000])
def test_a_picture_is_made_smaller_or_larger_to_the_resolution(side):
    image = Image.new("RGB", (side, side), WHITE)
    image.paste(RED, (0, 0, side // 2, side))
    square = prepare(image, centre_crop(image.size), 128)
    assert (square.size, square.mode) == ((128, 128), "RGB")
    assert is_near(square.getpixel((20, 64)), RED)
    assert is_near(square.getpixel((100, 64)), WHITE)


def test_only_the_crop_is_seen_and_not_what_lies_beside_it():
    image = Image.new("RGB", (200, 100), RED)
    image.paste(WHITE, (100, 0, 200, 100))
    assert np.asarray(prepare(image, Crop(100, 0, 100), 64)).min() == 255


def test_what_lies_beyond_the_picture_has_the_colour_of_its_border():
    image = Image.new("RGB", (300, 200), (240, 250, 230))
    image.paste(RED, (100, 50, 200, 150))
    crop = whole_crop(image.size)
    assert crop == Crop(0, -50, 300)
    square = prepare(image, crop, 60)
    assert square.size == (60, 60)
    assert square.getpixel((3, 2)) == square.getpixel((3, 57)) == (240, 250, 230)
    assert square.getpixel((30, 30)) == RED
    rows = np.flatnonzero(np.asarray(square)[:, 30, 1] < 100)
    assert (rows[0], rows[-1]) == (20, 39)


@pytest.mark.parametrize("size", [(5000, 33), (33, 5000)])
def test_the_narrowest_picture_can_be_padded(size):
    square = prepare(Image.new("RGB", size, RED), whole_crop(size), 64)
    assert square.getcolors() == [(64 * 64, RED)]


def test_only_a_plain_ground_is_padded_unless_all_shall_be():
    image = with_object_at(220, size=(400, 100))
    whole, cut = whole_crop(image.size), content_crop(image)
    chosen = {
        (mode, is_plain): choose_crop(image, mode, is_plain=is_plain)
        for mode in CropMode
        for is_plain in (False, True)
    }
    assert [key for key, crop in chosen.items() if crop == whole] == [
        (CropMode.AUTO, True),
        (CropMode.WHOLE, False),
        (CropMode.WHOLE, True),
    ]
    assert set(chosen.values()) == {whole, cut}


@pytest.mark.parametrize(
    ("crop", "fits"),
    [
        (Crop(0, 0, 100), True),
        (Crop(200, 0, 100), True),
        (Crop(201, 0, 100), False),
        (Crop(-1, 0, 100), False),
        (Crop(0, -200, 300), True),
        (Crop(0, -201, 300), False),
        (Crop(50, -10, 200), True),
        (Crop(50, 1, 200), False),
    ],
)
def test_a_square_lies_in_the_picture_or_around_it(crop, fits):
    assert crop.fits((300, 100)) is fits


def test_a_thumbnail_is_a_small_webp_of_the_whole_picture():
    data = thumbnail(photo(1, (900, 300)), side=256)
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.size) == ("WEBP", (256, 85))
    assert len(data) < 20_000
