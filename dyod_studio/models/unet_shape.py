"""What a U-Net is made of, told from its configuration before anything is loaded. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CROSS = "CrossAttn"
"""Part of the names of blocks that attend to the prompt."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something may be added: how wide the U-Net is there, and over how many cells."""

    channels: int
    cells: int


@dataclass(frozen=True, slots=True)
class UnetShape:
    """Args:
    blocks: every residual block. attentions: every pair of self- and cross-attention.
    conditioning_width: D of the prompt's tokens.
    """

    blocks: tuple[Place, ...]
    attentions: tuple[Place, ...]
    conditioning_width: int


def unet_shape(config: Mapping[str, Any]) -> UnetShape:
    """The shape of a Stable Diffusion U-Net: the way down, the middle, the way up."""
    channels = config["block_out_channels"]
    levels = [
        Place(width, (config["sample_size"] // 2**level) ** 2)
        for level, width in enumerate(channels)
    ]
    layers = config.get("layers_per_block", 2)
    depth = layers if isinstance(layers, int) else layers[0]
    blocks, attentions = [levels[-1]] * 2, [levels[-1]]
    for level, down in zip(levels, config["down_block_types"], strict=True):
        blocks += [level] * depth
        attentions += [level] * depth * (CROSS in down)
    for level, up in zip(reversed(levels), config["up_block_types"], strict=True):
        blocks += [level] * (depth + 1)
        attentions += [level] * (depth + 1) * (CROSS in up)
    return UnetShape(tuple(blocks), tuple(attentions), config["cross_attention_dim"])
