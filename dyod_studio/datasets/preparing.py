"""From a picture of any shape to the square that a base model is trained on."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ANALYSIS_SIDE_PX = 128
"""Longest side of the copy on which the content is looked for."""
GAIN_WORTH_MOVING = 1.02
"""How much more content than the centre a window must hold before the crop moves there."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of the upright original, in its pixels."""

    left: int
    top: int
    side: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom, as Pillow wants them."""
        return (self.left, self.top, self.left + self.side, self.top + self.side)


def centre_crop(size: tuple[int, int]) -> Crop:
    """Return the largest square in the middle of a picture of (width, height) pixels."""
    width, height = size
    side = min(size)
    return Crop((width - side) // 2, (height - side) // 2, side)


def content_crop(image: Image.Image) -> Crop:
    """Return the largest square of an RGB image that holds most of what it shows.

    The square slides along the longer side to where edges and distance from the background's colour
    are greatest; a picture that is alike everywhere keeps its centre.
    """
    centre = centre_crop(image.size)
    width, height = image.size
    if width == height:
        return centre
    small = image.copy()
    small.thumbnail((ANALYSIS_SIDE_PX, ANALYSIS_SIDE_PX), Image.Resampling.BILINEAR, 2.0)
    profile = _content(small).sum(axis=0 if width > height else 1)
    start = _best_start(profile, window=min(small.size))
    offset = min(round(start * max(image.size) / len(profile)), max(image.size) - centre.side)
    if start < 0:
        return centre
    return Crop(offset, 0, centre.side) if width > height else Crop(0, offset, centre.side)


def prepare(image: Image.Image, crop: Crop, resolution: int) -> Image.Image:
    """Return the cropped square at ``resolution`` x ``resolution`` pixels, Lanczos-filtered.

    A picture smaller than that is enlarged.
    """
    size = (resolution, resolution)
    return image.crop(crop.box).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def thumbnail(image: Image.Image, side: int = 256) -> bytes:
    """Return a WebP file of the whole picture, at most ``side`` pixels wide and high."""
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    file = io.BytesIO()
    small.save(file, "WEBP", quality=85)
    return file.getvalue()


def _content(image: Image.Image) -> NDArray[np.float32]:
    """(H, W): how much each pixel differs from its neighbours and from the border's colour."""
    pixels = np.asarray(image, np.float32)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    from_background = np.abs(pixels - np.median(border, axis=0)).mean(axis=2)
    down = np.abs(np.diff(pixels, axis=0, append=pixels[-1:])).mean(axis=2)
    across = np.abs(np.diff(pixels, axis=1, append=pixels[:, -1:])).mean(axis=2)
    return from_background / 4 + down + across


def _best_start(profile: NDArray[np.float32], window: int) -> int:
    """First row of the window with the most content, -1 when the centre is as good.

    Among windows that hold practically the same the middle one is taken, so that an object on a
    plain ground ends up in the middle of its square.
    """
    total = np.concatenate([[0.0], np.cumsum(profile, dtype=np.float64)])
    held = total[window:] - total[:-window]
    best = held.max()
    if best <= GAIN_WORTH_MOVING * held[(len(held) - 1) // 2]:
        return -1
    candidates = np.flatnonzero(held >= best * 0.995)
    return int(candidates[len(candidates) // 2])
