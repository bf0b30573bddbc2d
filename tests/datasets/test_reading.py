import errno
import os
import random
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from dyod_studio.datasets.images import (
    ReadLimits,
    image_suffix,
    read_image,
)
from dyod_studio.errors import RejectedImageError
from tests.datasets.pictures import GREEN, RED, WHITE, is_near, photo, quarters, save

ORIENTATION = 0x0112
BLUE = (0, 0, 255)


def rejection_of(path: Path, **limits: int) -> str:
    with pytest.raises(RejectedImageError) as caught:
        read_image(path, limits=ReadLimits(**limits))
    assert path.name not in str(caught.value)
    return str(caught.value)


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims a size; hardly any data follows."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


SUFFIXES = ("jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "heic", "heif", "avif")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_each_supported_suffix_is_read_as_upright_rgb(tmp_path, suffix):
    pillow_heif.register_heif_opener()
    path = save(quarters(), tmp_path / f"picture.{suffix}")
    image = read_image(path)
    assert (image.mode, image.size) == ("RGB", (80, 40))
    assert is_near(image.getpixel((10, 10)), RED, 40)
    assert is_near(image.getpixel((70, 30)), WHITE, 40)


def test_the_content_decides_and_not_the_suffix(tmp_path):
    path = save(quarters(), tmp_path / "picture.png")
    renamed = path.rename(tmp_path / "picture.jpg")
    assert read_image(renamed).size == (80, 40)
    assert image_suffix(renamed.read_bytes()[:16]) == ".png"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_every_exif_orientation_is_turned_upright(tmp_path, orientation, suffix):
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = quarters() if orientation == 1 else quarters().transpose(undo[orientation])
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = read_image(save(stored, tmp_path / f"turned{suffix}", exif=exif))
    assert image.size == (80, 40)
    assert is_near(image.getpixel((10, 10)), RED, 40)
    assert is_near(image.getpixel((70, 10)), WHITE, 40)


def test_a_heic_picture_is_turned_upright_once(tmp_path):
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    stored = quarters().transpose(Image.Transpose.ROTATE_90)
    image = read_image(save(stored, tmp_path / "phone.heic", exif=exif.tobytes()))
    assert image.size == (80, 40)
    assert is_near(image.getpixel((10, 10)), RED, 40)


def test_damaged_exif_data_does_not_cost_the_picture(tmp_path):
    path = save(quarters(), tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    assert read_image(path).size == (80, 40)


def test_transparent_places_show_the_chosen_background(tmp_path):
    image = Image.new("RGBA", (64, 64), (*GREEN, 0))
    image.paste((*RED, 255), (0, 0, 32, 64))
    path = save(image, tmp_path / "icon.png")
    assert read_image(path).getpixel((60, 5)) == WHITE
    assert read_image(path, background=BLUE).getpixel((60, 5)) == BLUE
    assert read_image(path, background=BLUE).getpixel((5, 5)) == RED


def test_half_transparent_pixels_mix_with_the_background(tmp_path):
    path = save(
        Image.new("RGBA", (40, 40), (0, 0, 0, 128)), tmp_path / "shadow.webp", lossless=True
    )
    assert is_near(read_image(path).getpixel((5, 5)), (127, 127, 127), 2)


@pytest.mark.parametrize("mode", ["P", "LA", "L"])
def test_transparency_of_palette_and_grey_pictures_shows_the_background(tmp_path, mode):
    if mode == "LA":
        path = save(Image.new("LA", (40, 40), (90, 0)), tmp_path / "a.png")
    else:
        image = quarters().convert(mode, palette=Image.Palette.ADAPTIVE, colors=4)
        path = save(image, tmp_path / "a.png", transparency=image.getpixel((5, 5)))
    assert read_image(path, background=BLUE).getpixel((5, 5)) == BLUE


def test_a_palette_with_many_transparent_entries_is_read_without_a_warning(tmp_path):
    palette = photo().quantize(16)
    path = save(palette, tmp_path / "a.png", transparency=bytes(range(0, 256, 16)))
    assert read_image(path).mode == "RGB"


def test_grey_and_one_bit_pictures_become_rgb(tmp_path):
    assert read_image(save(Image.new("L", (40, 40), 77), tmp_path / "l.png")).getpixel((1, 1)) == (
        (77, 77, 77)
    )
    assert read_image(save(Image.new("1", (40, 40), 1), tmp_path / "1.png")).getpixel((1, 1)) == (
        WHITE
    )


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_inks_become_the_colour_they_print(tmp_path, suffix):
    inks = Image.new("CMYK", (40, 40), (0, 255, 255, 0))
    assert is_near(read_image(save(inks, tmp_path / f"a{suffix}")).getpixel((5, 5)), (255, 0, 0))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path, suffix):
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    grey = np.asarray(read_image(save(Image.fromarray(ramp), tmp_path / f"a{suffix}")))
    assert (grey.min(), grey.max()) == (0, 255)
    np.testing.assert_allclose(grey[..., 0], ramp / 257, atol=1)


@pytest.mark.parametrize(("white", "dtype"), [(1.0, np.float32), (65535, np.int32)])
def test_deep_tiffs_are_scaled_to_the_white_that_holds_them(tmp_path, white, dtype):
    ramp = (np.linspace(0, 1, 40 * 40).reshape(40, 40) * white).astype(dtype)
    grey = np.asarray(read_image(save(Image.fromarray(ramp), tmp_path / "a.tif")))
    np.testing.assert_allclose(grey[..., 0], ramp * (255 / white), atol=1)


def test_an_embedded_colour_profile_is_followed(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    renamed = srgb.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    swapped = renamed.replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ").replace(b"----", b"bXYZ")
    plain = Image.new("RGB", (40, 40), (200, 40, 40))

    def read_with(profile: bytes) -> object:
        return read_image(save(plain, tmp_path / "a.png", icc_profile=profile)).getpixel((3, 3))

    assert read_with(srgb) == (200, 40, 40)
    assert is_near(read_with(swapped), (40, 40, 200), 3)


def test_a_damaged_colour_profile_does_not_cost_the_picture(tmp_path):
    plain = Image.new("RGB", (40, 40), (120, 130, 140))
    path = save(plain, tmp_path / "a.png", icc_profile=b"no profile")
    assert read_image(path).getpixel((3, 3)) == (120, 130, 140)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_an_animation_gives_its_first_frame(tmp_path, suffix):
    frames = [Image.new("RGB", (40, 40), colour) for colour in (RED, GREEN)]
    path = save(frames[0], tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    assert is_near(read_image(path).getpixel((5, 5)), RED, 20)


def test_a_text_file_with_a_pictures_name_is_not_an_image(tmp_path):
    path = tmp_path / "shoe.png"
    path.write_text("BM, this is only text and no bitmap at all.")
    assert rejection_of(path).startswith("is not an image")


def test_a_file_with_a_pictures_beginning_and_no_picture_is_damaged(tmp_path):
    path = tmp_path / "shoe.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"nothing of the kind" * 9)
    assert rejection_of(path) == "is damaged"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_a_file_cut_off_in_the_middle_is_rejected(tmp_path, suffix):
    path = save(photo(size=(256, 256)), tmp_path / f"half{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 5])
    assert rejection_of(path) in ("is cut off: its data ends early", "is damaged")


def test_an_empty_file_is_called_empty(tmp_path):
    path = tmp_path / "a.png"
    path.touch()
    assert rejection_of(path) == "is empty"


def test_a_picture_that_is_too_small_says_both_sizes(tmp_path):
    path = save(photo(size=(12, 90)), tmp_path / "a.png")
    assert rejection_of(path) == "is 12 x 90 pixels; at least 32 x 32 are needed"


def test_a_header_of_sixty_thousand_pixels_a_side_is_refused_undecoded(tmp_path):
    path = tmp_path / "huge.png"
    path.write_bytes(png_header(60_000, 60_000))
    assert rejection_of(path) == "has more than 100 megapixels, which is not read"


def test_a_picture_just_above_the_pixel_limit_says_its_size(tmp_path):
    path = tmp_path / "large.png"
    path.write_bytes(png_header(11_000, 10_000))
    assert rejection_of(path).startswith("is 11000 x 10000 pixels: has more than 100 megapixels")


def test_a_file_above_the_byte_limit_is_refused_unopened(tmp_path):
    path = save(photo(), tmp_path / "a.bmp")
    assert "is 0 MB large; at most 0 MB" in rejection_of(path, max_file_bytes=1000)


def test_a_file_that_vanished_is_a_reason_and_no_crash(tmp_path):
    assert rejection_of(tmp_path / "gone.png").startswith("cannot be read from the disk")


def test_trouble_of_the_machine_is_not_blamed_on_the_picture(tmp_path, monkeypatch):
    path = save(photo(), tmp_path / "a.png")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(OSError, match="Too many open files"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".gif", ".tif", ".avif"])
def test_damaged_bytes_end_in_a_picture_or_a_reason(tmp_path, suffix):
    path = save(photo(size=(64, 48)), tmp_path / f"a{suffix}")
    whole, randomness = path.read_bytes(), random.Random(7)
    for _ in range(60):
        damaged = bytearray(whole[: randomness.randint(1, len(whole))])
        for _ in range(4):
            damaged[randomness.randrange(min(len(damaged), 300))] = randomness.randrange(256)
        path.write_bytes(damaged)
        with suppress(RejectedImageError):
            assert read_image(path).mode == "RGB"
