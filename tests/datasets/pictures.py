"""Real picture files for the tests of this folder."""

from pathlib import Path

import numpy as np
from PIL import Image

GREEN, RED, WHITE = (0, 160, 0), (200, 0, 0), (255, 255, 255)


def photo(seed: int = 0, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """A smooth, colourful picture that no other seed repeats."""
    grain = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(grain).resize(size, Image.Resampling.BICUBIC)


def quarters(size: tuple[int, int] = (80, 40)) -> Image.Image:
    """White, but its top left quarter red: shows which way is up."""
    image = Image.new("RGB", size, WHITE)
    image.paste(RED, (0, 0, size[0] // 2, size[1] // 2))
    return image


def save(image: Image.Image, path: Path, **options: object) -> Path:
    """Write the picture in the format that its suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def many(folder: Path, count: int) -> Path:
    """A folder of ``count`` small photographs, 000.png and so on."""
    for index in range(count):
        save(photo(index, (48, 40)), folder / f"{index:04}.png")
    return folder


def is_near(pixel: object, colour: tuple[int, int, int], tolerance: int = 12) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, colour, strict=True))
