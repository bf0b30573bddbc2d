"""Walking through the codes of the initial VAE: interpolation, traversal, ranking.

Shapes: B codes of d coordinates, F frames.
"""

import torch
from torch import Tensor

from dyod_studio.errors import InvalidInputError


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


def traverse(code: Tensor, coordinate: int, span: float, num_frames: int) -> Tensor:
    """Copies of ``code`` (d,) whose one coordinate runs over [-span, span]: (F, d). DYOD, fig. 7.

    Raises:
        InvalidInputError: there is no such coordinate.
    """
    if not 0 <= coordinate < len(code):
        raise InvalidInputError(f"coordinate must lie in [0, {len(code) - 1}], got {coordinate}.")
    codes = code.repeat(num_frames, 1)
    codes[:, coordinate] = torch.linspace(-span, span, num_frames, dtype=code.dtype)
    return codes


def spread_codes(codes: Tensor, drawn: Tensor, spread: float) -> Tensor:
    """sqrt(1 - s^2) z + s z' of each row: (B, d), (B, d) -> (B, d).

    Where both are N(0, I) so is the result, whatever ``spread`` s in [0, 1] is.

    Raises:
        InvalidInputError: ``spread`` lies outside.
    """
    if not 0 <= spread <= 1:
        raise InvalidInputError(f"spread must lie in [0, 1], got {spread}.")
    return (1 - spread**2) ** 0.5 * codes + spread * drawn


def kl_per_coordinate(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Mean KL(q(z_k | x) || N(0, 1)) in nats for each coordinate: (B, d), (B, d) -> (d,).

    Appendix B of arXiv:1312.6114; a coordinate that carries nothing has 0.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(dim=0)


def rank_coordinates(kl: Tensor) -> list[int]:
    """Coordinates by how much they carry, the most useful first; ties keep their order."""
    return torch.argsort(kl, descending=True, stable=True).tolist()


def _weights(num_frames: int, like: Tensor) -> Tensor:
    if num_frames < 2:
        raise InvalidInputError(f"num_frames must be at least 2, got {num_frames}.")
    return torch.linspace(0, 1, num_frames, dtype=like.dtype, device=like.device).unsqueeze(1)
