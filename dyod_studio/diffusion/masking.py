"""Masked sampling: blank a rectangle of a condition picture before an encoder reads it.

Sec. 3.3 of "Transferring pretrained diffusion probabilistic models" (ANL). Shapes: B pictures of
H x W pixels in [-1, 1], so that what is blanked, times zero, becomes mid-grey.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dyod_studio.errors import InvalidInputError

Rectangle = tuple[slice, slice]
"""Rows and columns of a picture."""

DIGITS = 6
"""A product such as 0.29 * 100 is 28.999...: it is rounded so far before it is cut to pixels."""


def masked_rectangle(
    height: int, width: int, mask_rate: float, generator: torch.Generator
) -> Rectangle:
    """The rectangle of sides delta H and delta W, cut to whole pixels, at a random place.

    Its upper left corner is uniform over every place where the rectangle fits.

    Args:
        mask_rate: delta, the side ratio, in [0, 1); 0 gives an empty rectangle.
        generator: two numbers are drawn from it, whatever the size and the rate.

    Raises:
        InvalidInputError: the mask rate is out of range.
    """
    if not 0 <= mask_rate < 1:
        raise InvalidInputError(f"mask_rate must lie in [0, 1), got {mask_rate}.")
    rows, columns = (_part(side, mask_rate) for side in (height, width))
    top, left = (_place(side, generator) for side in (height - rows, width - columns))
    return slice(top, top + rows), slice(left, left + columns)


def mask_images(images: Tensor, mask_rate: float, generators: Sequence[torch.Generator]) -> Tensor:
    """X' = X * M with a mask M of its own for each picture; (B, C, H, W) in and out.

    Picture i's mask depends on generator i, the rate and the size only, not on B.

    Raises:
        InvalidInputError: the mask rate is out of range, or the generators are not one a picture.
    """
    if len(generators) != len(images):
        raise InvalidInputError(
            f"{len(images)} pictures need {len(images)} seeds for their masks, "
            f"got {len(generators)}."
        )
    masked = images.clone()
    height, width = images.shape[-2:]
    for image, generator in zip(masked, generators, strict=True):
        rows, columns = masked_rectangle(height, width, mask_rate, generator)
        image[..., rows, columns] = 0
    return masked


def _part(side: int, ratio: float) -> int:
    return math.floor(round(ratio * side, DIGITS))


def _place(room: int, generator: torch.Generator) -> int:
    """An integer in 0 ... room, both included."""
    return int(torch.randint(room + 1, (), generator=generator))
