"""Pictures to tensors and back. Shapes: B images of H x W pixels."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def to_tensor(images: Sequence[Image.Image]) -> Tensor:
    """RGB pictures of one size -> (B, 3, H, W) float32 in [-1, 1]."""
    pixels = np.stack([np.asarray(image.convert("RGB")) for image in images])
    return from_pixels(torch.from_numpy(pixels))


def from_pixels(pixels: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in [-1, 1]."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pictures(images: Tensor) -> list[Image.Image]:
    """(B, 3, H, W) in [-1, 1] -> RGB pictures, rounded to the nearest of 256 levels."""
    pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return [Image.fromarray(row) for row in pixels.permute(0, 2, 3, 1).cpu().numpy()]


def fit(image: Image.Image, side: int) -> Image.Image:
    """A square picture at ``side`` pixels, by Lanczos as in the paper (sec. 4.1)."""
    return image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
