"""What a colleague would notice about a picture at first sight: is it sharp, what stands behind it.

Images are uint8 RGB; grey levels run from 0 to 255.
"""

import numpy as np
from PIL import Image

LOOKED_AT_PX = 512
"""Longest side of the copy that is judged: finer detail no base model is taught."""
STEEPEST = 99.8
"""Percentile of the steps between neighbours that counts: the edges, however few there are."""
ALIKE_LEVELS = 14
"""How far colours of one plain ground may lie apart; JPEG moves them by some levels."""
PLAIN_SHARE = 0.9
"""Of the border, for a ground to be called plain: the subject may reach the edge here and there."""


def sharpness(image: Image.Image) -> float:
    """Return the steepest step between neighbouring pixels, in grey levels: 255 is black on white.

    A picture that was enlarged or is out of focus has no steep step anywhere.
    """
    grey = image.convert("L")
    grey.thumbnail((LOOKED_AT_PX, LOOKED_AT_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
    pixels = np.asarray(grey, np.int16)
    steps = (np.abs(np.diff(pixels, axis=axis)).ravel() for axis in (0, 1))
    return float(np.percentile(np.concatenate(list(steps)), STEEPEST))


def plain_ground(image: Image.Image) -> str:
    """Return the colour of a plain ground as ``#rrggbb``; empty when the border shows more."""
    small = image.copy()
    small.thumbnail((LOOKED_AT_PX // 4, LOOKED_AT_PX // 4), Image.Resampling.BILINEAR, 2.0)
    pixels = np.asarray(small, np.int16)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colour = np.median(border, axis=0).round().astype(int)
    is_alike = np.abs(border - colour).max(axis=1) <= ALIKE_LEVELS
    return "#{:02x}{:02x}{:02x}".format(*colour) if is_alike.mean() >= PLAIN_SHARE else ""
