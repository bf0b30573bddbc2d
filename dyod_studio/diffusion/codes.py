"""Walking through the codes of the initial VAE: interpolation, traversal, ranking.

Shapes: B codes of d coordinates, F frames.
"""

import torch
from torch import Tensor


def interpolate(a: Tensor, b: Tensor, num_frames: int) -> Tensor:
    """z = z_a + lambda (z_b - z_a) with lambda from 0 to 1: (F, d). DYOD, sec. 4.3.

    Raises:
        InvalidInputError: fewer than two frames.
    """
    weights = _weights(num_frames, a)
    return torch.lerp(a.expand(num_frames, -1), b.expand(num_frames, -1), weights)


def interpolate_spherical(a: Tensor, b: Tensor, num_frames: int) -> Tensor:
    """Frames on the great circle from ``a`` to ``b``: (F, d) (Shoemake 1985).

    Keeps the length of a code typical for N(0, I); nearly parallel ends fall back to a line.
    """
    weights = _weights(num_frames, a)
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=-1).clamp(-1, 1)
    angle = torch.arccos(cosine)
    if angle.sin().abs() < 1e-4:
        return interpolate(a, b, num_frames)
    share_a, share_b = ((1 - weights) * angle).sin(), (weights * angle).sin()
    return (share_a * a + share_b * b) / angle.sin()
