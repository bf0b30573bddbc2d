"""Weights kept in half the memory and used in full precision, for cards that compute halves badly.

A frozen layer is cast when it is used; under gradient checkpointing the full-precision copy of only
one block exists at a time. Adapters see ordinary ``Linear`` and ``Conv2d`` layers.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class CastLinear(nn.Linear):
    """A linear layer that casts its weights to its input's dtype."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input, self.weight.to(input.dtype), _cast(self.bias, input))


class CastConv2d(nn.Conv2d):
    """A convolution that casts its weights to its input's dtype."""

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight.to(input.dtype), _cast(self.bias, input))


CASTING = {nn.Linear: CastLinear, nn.Conv2d: CastConv2d}


def store_weights_in(module: nn.Module, storage: torch.dtype, compute: torch.dtype) -> None:
    """Keep the linear and convolution weights in ``storage``, everything else in ``compute``."""
    nn.Module.to(module, dtype=compute)  # diffusers' own would warn of nothing
    if storage == compute:
        return
    for layer in module.modules():
        if type(layer) in CASTING:
            layer.to(dtype=storage)
            layer.__class__ = CASTING[type(layer)]


def _cast(bias: Tensor | None, like: Tensor) -> Tensor | None:
    return None if bias is None else bias.to(like.dtype)
