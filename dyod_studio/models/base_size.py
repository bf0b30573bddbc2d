"""How large a base model is, told from its small files before anything is loaded. No torch here.

The figures are rough on purpose: they are for a first estimate, until a few real steps have been
measured. R pixels along one side, B pictures.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

from dyod_studio.models.memory import MEGABYTE
from dyod_studio.models.references import WEIGHT_FOLDERS, locate_base, read_json, weight_files

CROSS = "CrossAttn"
"""Part of the names of blocks that attend to the prompt."""


@dataclass(frozen=True, slots=True)
class AttachmentPoint:
    """Where something may be added: how wide the U-Net is there, and over how many cells."""

    channels: int
    cells: int


@dataclass(frozen=True, slots=True)
class UnetShape:
    """Args:
    blocks: every residual block. attentions: every pair of self- and cross-attention.
    conditioning_width: D of the prompt's tokens.
    """

    blocks: tuple[AttachmentPoint, ...]
    attentions: tuple[AttachmentPoint, ...]
    conditioning_width: int


def unet_shape(config: Mapping[str, Any]) -> UnetShape:
    """The shape of a Stable Diffusion U-Net: the way down, the middle, the way up."""
    channels = config["block_out_channels"]
    levels = [
        AttachmentPoint(width, (config["sample_size"] // 2**level) ** 2)
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


PLAIN_TENSORS, ATTENTION_TENSORS = 12, 40
"""Tensors of a level's own size that one layer leaves for the way back, without and with
attention; counted on the U-Net of Stable Diffusion 1.5."""
PLAIN_PRODUCTS, ATTENTION_PRODUCTS = 37, 25
"""Multiplications of one layer, in units of cells x channels squared; counted likewise."""
DECODER_TENSORS = 6
"""Tensors of full resolution that the autoencoder holds at once."""
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class BaseSize:
    """Sizes that memory and time of a run depend on, at the base model's own resolution.

    Args:
        num_parameters, num_unet_parameters: of all its networks, and of the U-Net.
        activations_mb: what one picture leaves in the U-Net for the way back.
        gflops: one picture once through the U-Net, forwards.
        autoencoder_mb: what one picture takes while it is encoded or decoded.
        text_width, text_layers: of the text encoder. clip_width: of the CLIP that the base brings.
    """

    resolution: int
    resolution_multiple: int
    num_parameters: int
    num_unet_parameters: int
    activations_mb: float
    gflops: float
    autoencoder_mb: float
    unet: UnetShape
    text_width: int
    text_layers: int
    clip_width: int | None = None


STABLE_DIFFUSION_UNET = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "down_block_types": (*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
    "up_block_types": ("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
    "cross_attention_dim": 768,
}
STABLE_DIFFUSION = BaseSize(
    resolution=512,
    resolution_multiple=64,
    num_parameters=1_066_000_000,
    num_unet_parameters=860_000_000,
    activations_mb=2700,
    gflops=800,
    autoencoder_mb=800,
    unet=unet_shape(STABLE_DIFFUSION_UNET),
    text_width=768,
    text_layers=12,
)
"""Size that a single file is taken to have; most are Stable Diffusion 1.x."""


def base_size(ref: str, starter_dir: Path) -> BaseSize:
    """The size of a base model by its reference; one on the hub is looked up in the hub's cache.

    Raises:
        BaseModelError: there is no such base model.
    """
    location = locate_base(ref, starter_dir)
    folder = location.path
    if location.kind == "hub":
        cached = try_to_load_from_cache(ref, "unet/config.json")
        folder = Path(cached).parents[1] if isinstance(cached, str) else None
    if folder is None or not folder.is_dir():
        return STABLE_DIFFUSION
    return _size_of_folder(folder)


def num_parameters(file_path: Path) -> int:
    """How many numbers a safetensors file holds, by its header."""
    with file_path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(math.prod(row["shape"]) for name, row in header.items() if name != "__metadata__")


def _size_of_folder(folder: Path) -> BaseSize:
    unet, vae, text = (read_json(folder / part / "config.json") for part in WEIGHT_FOLDERS)
    clip = folder / "image_encoder" / "config.json"
    counts = {
        part: sum(num_parameters(path) for path in weight_files(folder / part))
        for part in WEIGHT_FOLDERS
    }
    factor = 2 ** (len(vae["block_out_channels"]) - 1)
    resolution = unet["sample_size"] * factor
    pixels = vae["block_out_channels"][0] * resolution**2
    tensors, products = _per_picture(unet)
    return BaseSize(
        resolution=resolution,
        resolution_multiple=factor * 2 ** (len(unet["block_out_channels"]) - 1),
        num_parameters=sum(counts.values()),
        num_unet_parameters=counts["unet"],
        activations_mb=tensors * FLOAT_BYTES / MEGABYTE,
        gflops=2 * products / 1e9,
        autoencoder_mb=pixels * DECODER_TENSORS * FLOAT_BYTES / MEGABYTE,
        unet=unet_shape(unet),
        text_width=text["hidden_size"],
        text_layers=text["num_hidden_layers"],
        clip_width=read_json(clip)["projection_dim"] if clip.is_file() else None,
    )


def _per_picture(unet: dict[str, Any]) -> tuple[int, int]:
    """(numbers left for the way back, multiplications) of one picture, summed over the levels."""
    layers = unet.get("layers_per_block", 2)
    layers = 2 * (layers if isinstance(layers, int) else layers[0]) + 1
    tensors = products = 0
    for level, channels in enumerate(unet["block_out_channels"]):
        cells = (unet["sample_size"] // 2**level) ** 2
        has_attention = "CrossAttn" in unet["down_block_types"][level]
        tensors += layers * cells * channels * (PLAIN_TENSORS + has_attention * ATTENTION_TENSORS)
        products += (
            layers * cells * channels**2 * (PLAIN_PRODUCTS + has_attention * ATTENTION_PRODUCTS)
        )
    return tensors, products
