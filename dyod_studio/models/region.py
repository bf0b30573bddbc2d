"""The part of a picture that is drawn again, while every other pixel stays its own.

R pixels along a side.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor
from torch.nn import functional

from dyod_studio.errors import InvalidInputError

MARKED = 128
"""From this brightness on, of 255, a pixel of a mask belongs to the region."""
EDGE_SHARE = 1 / 48
"""Width of the soft edge inside the region, as a share of the picture's side."""


@dataclass(frozen=True, slots=True)
class Region:
    """``inside``: (R, R), true where the picture is drawn again."""

    inside: NDArray[np.bool_]

    def cells(self, side: int) -> Tensor:
        """(1, 1, side, side) bool: the latent cells that hold any pixel of the region."""
        pixels = torch.from_numpy(self.inside).float()[None, None]
        return functional.adaptive_max_pool2d(pixels, side) > 0

    def put_back(self, original: Image.Image, drawn: Image.Image) -> Image.Image:
        """``drawn`` inside the region, ``original`` outside, where no bit of it changes.

        Both are RGB pictures of R x R pixels. The edge is soft on the inside only.
        """
        share = self._opacity()[..., None]
        before, after = (np.asarray(image, np.float32) for image in (original, drawn))
        mixed = (before + share * (after - before)).round().astype(np.uint8)
        kept = np.asarray(original.convert("RGB"))
        return Image.fromarray(np.where(self.inside[..., None], mixed, kept))

    def _opacity(self) -> NDArray[np.float32]:
        """(R, R) in [0, 1]: 0 outside, growing from the edge inwards, 1 in the depth."""
        mask = Image.fromarray(self.inside.astype(np.uint8))
        num_steps = max(1, round(len(self.inside) * EDGE_SHARE))
        depth = np.zeros(self.inside.shape, np.float32)
        for _ in range(num_steps):
            depth += np.asarray(mask, np.float32)
            mask = mask.filter(ImageFilter.MinFilter(3))
        opacity = (depth + np.asarray(mask, np.float32)) / (num_steps + 1)
        return opacity.astype(np.float32)


def region_of(mask: Image.Image, side_px: int) -> Region:
    """The region that a square mask shows: bright where the picture is drawn again.

    A pixel belongs to it only when all of what the mask shows there does.

    Args:
        side_px: R.

    Raises:
        InvalidInputError: nothing is marked, or too little to be seen at this size.
    """
    brightest = np.asarray(mask.convert("RGB")).max(axis=2)
    marked = Image.fromarray(np.where(brightest >= MARKED, 255, 0).astype(np.uint8))
    method = Image.Resampling.BOX if marked.width >= side_px else Image.Resampling.NEAREST
    inside = np.asarray(marked.resize((side_px, side_px), method)) == 255
    if not inside.any():
        raise InvalidInputError(
            "The region is empty, or smaller than a pixel of the picture: brush over the part "
            "that shall be drawn again."
        )
    return Region(inside)
