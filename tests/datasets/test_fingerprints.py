import io
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dyod_studio.datasets.fingerprints import (
    SIGNATURE_BYTES,
    DuplicateFinder,
    Earlier,
    Fingerprint,
    fingerprint,
    perceptual_hash,
)
from tests.datasets.pictures import photo, save

YELLOW, BLACK = (252, 234, 43), (0, 0, 0)


def recoded(image: Image.Image, fmt: str, scale: float, **options: int) -> Image.Image:
    size = (round(image.width * scale), round(image.height * scale))
    file = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(file, fmt, **options)
    return Image.open(file).convert("RGB")


def smiley(
    mouth: str = "smile", eyes: str = "dots", colour: tuple[int, int, int] = YELLOW
) -> Image.Image:
    """An outlined face on white, as icon packs draw dozens that differ in a line."""
    image = Image.new("RGB", (256, 256), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    draw.ellipse((44, 44, 212, 212), fill=colour, outline=BLACK, width=7)
    for x in (96, 160):
        if eyes == "dots":
            draw.ellipse((x - 10, 106, x + 10, 126), fill=BLACK)
        else:
            draw.arc((x - 14, 104, x + 14, 132), 190, 350, fill=BLACK, width=7)
    if mouth == "line":
        draw.line((104, 160, 152, 160), fill=BLACK, width=7)
    else:
        start, top = (20, 130) if mouth == "smile" else (200, 150)
        draw.arc((96, top, 160, top + 40), start, start + 140, fill=BLACK, width=7)
    return image


def shape(kind: str) -> Image.Image:
    """A white shape on white with a thin grey rim: hardly any contrast."""
    image = Image.new("RGB", (256, 256), (255, 255, 255))
    box = (60, 60, 196, 196)
    draw = ImageDraw.Draw(image)
    getattr(draw, kind)(box, fill=(236, 236, 236))
    return image


DIFFERENT = {
    "smile": smiley(),
    "frown": smiley("frown"),
    "line": smiley("line"),
    "laughing eyes": smiley(eyes="arcs"),
    "blue": smiley(colour=(60, 130, 240)),
    "orange": smiley(colour=(250, 170, 30)),
    "white disc": shape("ellipse"),
    "white square": shape("rectangle"),
    **{f"photo {seed}": photo(seed, (320, 240)) for seed in range(4)},
}
COPIES = {
    "jpeg 90": ("JPEG", 1.0, {"quality": 90}),
    "jpeg 40": ("JPEG", 1.0, {"quality": 40}),
    "jpeg 75 at half size": ("JPEG", 0.5, {"quality": 75}),
    "webp 75 at two thirds": ("WEBP", 0.67, {"quality": 75}),
    "png at double size": ("PNG", 2.0, {}),
    "png at 0.37": ("PNG", 0.37, {}),
}


def remember(finder: DuplicateFinder, name: str, image: Image.Image) -> str | None:
    earlier = finder.check(name, Fingerprint(f"sha256 of {name}", perceptual_hash(image)))
    return earlier.name if earlier else None


@pytest.mark.parametrize(("one", "other"), list(combinations(DIFFERENT, 2)))
def test_different_pictures_are_not_called_copies(one, other):
    finder = DuplicateFinder()
    assert remember(finder, one, DIFFERENT[one]) is None
    assert remember(finder, other, DIFFERENT[other]) is None


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("name", DIFFERENT)
def test_a_resized_or_recompressed_copy_is_found(name, copy):
    finder = DuplicateFinder()
    for other, image in DIFFERENT.items():
        remember(finder, other, image)
    fmt, scale, options = COPIES[copy]
    assert remember(finder, "copy", recoded(DIFFERENT[name], fmt, scale, **options)) == name


def test_the_same_file_is_found_by_its_bytes(tmp_path: Path):
    one = save(photo(1), tmp_path / "one.png")
    two = Path(str(tmp_path / "two.png"))
    two.write_bytes(one.read_bytes())
    finder = DuplicateFinder()
    first, second = (fingerprint(path, Image.open(path).convert("RGB")) for path in (one, two))
    assert first.sha256 == second.sha256
    assert finder.check("one", first) is None
    assert finder.check("two", second) == Earlier("one", first.sha256)


def test_a_copy_of_a_copy_is_reported_as_the_first_picture():
    finder = DuplicateFinder()
    assert remember(finder, "original", photo(1)) is None
    assert remember(finder, "small", recoded(photo(1), "PNG", 0.5)) == "original"
    assert remember(finder, "smaller", recoded(photo(1), "JPEG", 0.5, quality=80)) == "original"


def test_pictures_of_an_earlier_import_are_known():
    known = [("old", "a" * 64, perceptual_hash(photo(1)))]
    finder = DuplicateFinder(known)
    assert remember(finder, "new", recoded(photo(1), "JPEG", 1.0, quality=85)) == "old"
    assert finder.check("same", Fingerprint("a" * 64, perceptual_hash(photo(2)))).name == "old"
    assert remember(finder, "other", photo(3)) is None


def test_a_mirrored_picture_is_another_picture():
    finder = DuplicateFinder()
    remember(finder, "left", photo(1))
    mirrored = photo(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert remember(finder, "right", mirrored) is None


def test_thirty_thousand_pictures_are_compared_in_seconds():
    randomness = np.random.default_rng(0)
    rows = randomness.integers(0, 256, (30_000, SIGNATURE_BYTES), dtype=np.uint8)
    finder = DuplicateFinder()
    begun = time.perf_counter()
    for index, row in enumerate(rows):
        assert finder.check(str(index), Fingerprint(str(index), row.tobytes().hex())) is None
    assert time.perf_counter() - begun < 60
    assert finder.check("again", Fingerprint("x", rows[12_345].tobytes().hex())).name == "12345"
