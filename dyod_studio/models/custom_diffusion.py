"""Custom Diffusion: what is learned of K and V in the cross-attention, beside a frozen U-Net.

Only W_K and W_V of every cross-attention are tuned, since the condition enters there alone:
arXiv:2212.04488, sec. 3.1. W = W_0 + dW is computed as W_0 c + dW c with dW in float32 and zero at
first: the gradient of dW is that of W, and what the base holds is not touched.

Shapes: D the conditioning's width, inner width C of each attention.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import Artifact, Attachment, Hook, changed_outputs
from dyod_studio.models.base import BaseModel
from dyod_studio.models.placeholder import attach_token

SUFFIXES = (".attn2.to_k", ".attn2.to_v")
SEPARATOR = "/"
"""Stands for the dots of a layer's path, which a module's name cannot hold."""


class CrossAttentionChange(nn.Module):
    """dW of every W_K and W_V: (C, D) float32 each, named by the layer's path in the U-Net."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.changes = nn.ParameterDict(
            {
                name.replace(".", SEPARATOR): nn.Parameter(
                    torch.zeros(layer.out_features, layer.in_features)
                )
                for name, layer in cross_attention_layers(unet).items()
            }
        )

    @property
    def num_parameters(self) -> int:
        """All of them are trained."""
        return sum(change.numel() for change in self.changes.values())

    def tensors(self) -> dict[str, Tensor]:
        """dW by the path of its layer: what a file holds."""
        return {
            name.replace(SEPARATOR, "."): change.detach() for name, change in self.changes.items()
        }

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take what :meth:`tensors` gave.

        Raises:
            InvalidInputError: they belong to a U-Net of another shape.
        """
        own = self.tensors()
        if {name: t.shape for name, t in own.items()} != {n: t.shape for n, t in tensors.items()}:
            raise InvalidInputError(
                "The custom-diffusion does not fit the cross-attention of this base model: use the "
                "base it was trained on."
            )
        for name, change in own.items():
            change.copy_(tensors[name])

    def hook(self, name: str, strength: float) -> Hook:
        """A forward hook for the layer of that path."""
        change = self.changes[name.replace(".", SEPARATOR)]

        def add(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
            changed = functional.linear(inputs[0].float(), change)
            return output + strength * changed.to(output.dtype)

        return add


@contextmanager
def with_custom_diffusion(
    base: BaseModel, change: CrossAttentionChange, strength: float = 1.0
) -> Iterator[BaseModel]:
    """The base model with changed K and V for as long as the block lasts; nothing is copied.

    Blocks within each other join several concepts: their changes add up.

    Args:
        strength: share of the change, in [0, 1]; 0 is the base model itself.

    Raises:
        InvalidInputError: the strength is out of range.
    """
    change.to(base.device)
    with changed_outputs(cross_attention_layers(base.unet), change.hook, strength):
        yield base


def attach_custom_diffusion(attachment: Attachment, parts: Sequence[Artifact]) -> None:
    """Put the token of the part beside the vocabulary, and its change on the cross-attention."""
    (part,) = parts
    attach_token(attachment, parts)
    change = load_custom_diffusion(part, attachment.base)
    attachment.stack.enter_context(
        with_custom_diffusion(attachment.base, change, attachment.strength)
    )


def load_custom_diffusion(artifact: Artifact, base: BaseModel) -> CrossAttentionChange:
    """The change that an artifact of the kind ``custom-diffusion`` holds.

    Its token is another part: attach ``emb_params`` with ``with_placeholder``.

    Raises:
        InvalidInputError: it was made for another base model.
    """
    if artifact.base_fingerprint != base.fingerprint:
        raise InvalidInputError(
            f"The custom-diffusion was trained on {artifact.base_ref}, this base model is another "
            "one."
        )
    change = CrossAttentionChange(base.unet)
    change.load({name: t for name, t in artifact.tensors.items() if name.endswith(SUFFIXES)})
    return change.requires_grad_(False)


def cross_attention_layers(unet: Any) -> dict[str, nn.Linear]:
    """W_K and W_V of every cross-attention by their path, whatever adapter is wrapped around."""
    return {
        name: module
        for name, module in unet.named_modules()
        if name.endswith(SUFFIXES) and hasattr(module, "out_features")
    }
