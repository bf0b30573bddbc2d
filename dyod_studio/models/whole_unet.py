"""A whole U-Net of one's own in the place of the base's, which is left as it is and rests.

In a file each tensor is called ``unet.`` and its path in diffusers. Small ones are kept in float32.
Large ones are rounded to float16, half the size: a weight keeps 11 bits, more than the bfloat16 or
float16 that cards use a base model in. The header's ``dyod.stored_as`` says which.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import Artifact, Attachment, check_strength
from dyod_studio.models.base import BaseModel

PREFIX = "unet."
SMALL = 100_000_000
"""Weights below which a U-Net is small enough to be trained whole wherever a LoRA is."""
LARGE = 250_000_000
"""Weights above which a file holds them in float16: it is then half a gigabyte or more."""


@contextmanager
def with_own_unet(base: BaseModel, seed: int | None = None) -> Iterator[BaseModel]:
    """The base model with a trainable float32 copy of its U-Net, for as long as the block lasts.

    Args:
        seed: begin with random weights of this seed instead of the base's own.
    """
    own = deepcopy(base.unet) if seed is None else _random(base.unet, seed)
    nn.Module.to(own, dtype=torch.float32)  # diffusers' own warns of layers kept in halves
    own.requires_grad_(True)
    with _in_place(replace(base, dtype=torch.float32), own) as extended:
        yield extended


@contextmanager
def with_unet(
    base: BaseModel, tensors: Mapping[str, Tensor], strength: float = 1.0
) -> Iterator[BaseModel]:
    """The base model with the U-Net that :func:`unet_tensors` gave, for as long as the block lasts.

    Args:
        strength: between the base's weights at 0 and these at 1, in [0, 1].

    Raises:
        InvalidInputError: it is the U-Net of another shape, or the strength is out of range.
    """
    check_strength(strength)
    if strength == 0:
        yield base
        return
    own = deepcopy(base.unet)
    load_unet(own, tensors, strength)
    with _in_place(base, own) as extended:
        yield extended


def attach_unet(attachment: Attachment, parts: Sequence[Artifact]) -> None:
    """Put a part's U-Net in the place of the base's own, where the part brings one."""
    for part in parts:
        if has_unet(part.tensors):
            attachment.base = attachment.stack.enter_context(
                with_unet(attachment.base, part.tensors, attachment.strength)
            )


def unet_tensors(unet: Any) -> dict[str, Tensor]:
    """The weights in float32, by their names in a file."""
    return {PREFIX + name: tensor.detach().float() for name, tensor in unet.state_dict().items()}


def has_unet(tensors: Mapping[str, Tensor]) -> bool:
    """Whether those of a whole U-Net are among a file's tensors."""
    return any(name.startswith(PREFIX) for name in tensors)


def beside_unet(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file that are no U-Net's."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(PREFIX)}


@torch.no_grad()
def load_unet(unet: Any, tensors: Mapping[str, Tensor], strength: float = 1.0) -> None:
    """Copy what :func:`unet_tensors` gave into a U-Net, or move it a share of the way there.

    Raises:
        InvalidInputError: it belongs to a U-Net of another shape.
    """
    given = {n.removeprefix(PREFIX): t for n, t in tensors.items() if n.startswith(PREFIX)}
    own = unet.state_dict()
    if {name: t.shape for name, t in own.items()} != {n: t.shape for n, t in given.items()}:
        raise InvalidInputError(
            "This U-Net has another shape than the base model's: use it with the base that it was "
            "trained on."
        )
    for name, tensor in own.items():
        theirs = given[name].to(tensor.device, torch.float32)
        tensor.copy_(theirs if strength == 1 else torch.lerp(tensor.float(), theirs, strength))


def to_store(tensors: Mapping[str, Tensor], *, large: int = LARGE) -> tuple[dict[str, Tensor], str]:
    """The tensors as a file holds them, and how: ``float32``, or ``float16`` above ``large``."""
    number = sum(tensor.numel() for tensor in tensors.values())
    if number <= large or not all(_fits_half(tensor) for tensor in tensors.values()):
        return dict(tensors), "float32"
    return {name: tensor.half() for name, tensor in tensors.items()}, "float16"


@contextmanager
def _in_place(base: BaseModel, own: Any) -> Iterator[BaseModel]:
    """The base's own U-Net leaves a card meanwhile: there is room for one of them."""
    if base.device.type != "cpu":
        nn.Module.to(base.unet, device="cpu")
    try:
        yield replace(base, unet=own)
    finally:
        nn.Module.to(base.unet, device=base.device)


def _random(unet: Any, seed: int) -> Any:
    """The same U-Net as it was before it was trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = type(unet).from_config(unet.config)
    return fresh.eval().to(unet.device)


def _fits_half(tensor: Tensor) -> bool:
    return bool(tensor.abs().max() <= torch.finfo(torch.float16).max)
