"""RGBA icons to training pictures. Shapes: B pictures, S pixels a side."""

import torch
import torch.nn.functional as F
from torch import Tensor

PLAIN_SHARE = 0.4
"""Share of pictures on plain white; the rest get a random plain or graded background."""


def to_float(rgba: Tensor) -> Tensor:
    """(B, S, S, 4) bytes to (B, 4, S, S) in [0, 1]."""
    return rgba.permute(0, 3, 1, 2).float() / 255


def over(rgba: Tensor, background: Tensor) -> Tensor:
    """Paint the icons over backgrounds: (B, 4, S, S) and (B, 3, S, S) in [0, 1] to [-1, 1]."""
    colour, alpha = rgba[:, :3], rgba[:, 3:]
    return (colour * alpha + background * (1 - alpha)) * 2 - 1


def random_backgrounds(rgba: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 3, S, S) in [0, 1]: white, one random colour, or a slope between two."""
    batch, size = len(rgba), rgba.shape[-1]
    device = rgba.device
    first, second = torch.rand(2, batch, 3, 1, 1, generator=generator, device=device)
    is_plain = torch.rand(batch, 1, 1, 1, generator=generator, device=device) < PLAIN_SHARE
    is_graded = torch.rand(batch, 1, 1, 1, generator=generator, device=device) < 0.3
    ramp = torch.linspace(0, 1, size, device=device).view(1, 1, size, 1)
    graded = first + (second - first) * ramp
    coloured = torch.where(is_graded, graded, first.expand(-1, -1, size, 1))
    return torch.where(is_plain, torch.ones_like(coloured), coloured).expand(-1, -1, -1, size)


def jitter(rgba: Tensor, generator: torch.Generator) -> Tensor:
    """Flip, shuffle the colour channels of some icons, and shift by up to 4 pixels."""
    out = rgba
    if torch.rand((), generator=generator, device=rgba.device) < 0.5:
        out = out.flip(-1)
    batch = len(out)
    shuffled = torch.rand(batch, 3, generator=generator, device=out.device).argsort(1)
    keep = torch.rand(batch, 1, generator=generator, device=out.device) < 0.6
    order = torch.where(keep, torch.arange(3, device=out.device), shuffled)
    order = torch.cat([order, torch.full((batch, 1), 3, device=out.device)], 1)
    out = out.gather(1, order[:, :, None, None].expand_as(out))
    dy, dx = torch.randint(-4, 5, (2,), generator=generator, device=out.device).tolist()
    return out.roll((dy, dx), (-2, -1))


def smaller(rgba: Tensor, factor: int) -> Tensor:
    """Shrink straight-alpha icons by a whole factor, weighing colours by their alpha."""
    alpha = rgba[:, 3:]
    premultiplied = F.avg_pool2d(torch.cat([rgba[:, :3] * alpha, alpha], 1), factor)
    alpha = premultiplied[:, 3:]
    return torch.cat([premultiplied[:, :3] / alpha.clamp_min(1e-4), alpha], 1)


def mosaic(rgba: Tensor) -> Tensor:
    """(4 B, 4, S, S) icons to (B, 4, S, S) pictures of four at half size."""
    a, b, c, d = smaller(rgba, 2).chunk(4)
    return torch.cat([torch.cat([a, b], -1), torch.cat([c, d], -1)], -2)
