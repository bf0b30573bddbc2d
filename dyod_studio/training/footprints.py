"""Footprint of each method: how many numbers it trains, and what they take. No torch.

C channels of a place in the U-Net, n cells, D the prompt's width, H the text encoder's, r a rank.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dyod_studio.models.base_size import FLOAT_BYTES, AttachmentPoint, BaseSize
from dyod_studio.models.memory import MEGABYTE
from dyod_studio.models.memory_plan import NO_FOOTPRINT, Footprint
from dyod_studio.requests.part_kinds import load_reference
from dyod_studio.requests.part_records import TrainingMethod

Settings = Mapping[str, Any]
Formula = Callable[[Settings, BaseSize], Footprint]

USUAL_CLIP_WIDTH = 768
"""Of the CLIP that suits Stable Diffusion 1.x, where the base brings none."""
TEXT_TOKENS = 77
SMALL_UNET = 100_000_000
"""As ``models.whole_unet`` says; that loads torch."""
EVERY = 4
"""How many times as much a LoRA on every layer holds as one on the attention layers."""
SHARE_OF_COPY = 0.45
"""Of a U-Net: its way down and its middle, and the layers that join a copy of them."""
TEXT_TENSORS = 24
"""Tensors of the text encoder's width that a layer leaves for the way back."""
ATTENDED, SELF_ATTENDED = 3, 5
"""Tensors of an ANL's attention width that are left: with a condition, and without."""


def footprint_of(method: TrainingMethod, settings: Settings, size: BaseSize) -> Footprint:
    """Footprint of a method with these settings on a base model of this size."""
    formula: Formula = load_reference(method.footprint)
    return formula(settings, size)


def of_nothing(settings: Settings, size: BaseSize) -> Footprint:
    """A small network of its own, next to nothing beside a base model."""
    return NO_FOOTPRINT


def of_inversion(settings: Settings, size: BaseSize) -> Footprint:
    """k vectors; gradients pass through the text encoder."""
    return Footprint(settings.get("num_vectors", 1) * size.text_width, text_mb=_text_mb(size))


def of_dreambooth(settings: Settings, size: BaseSize) -> Footprint:
    """A LoRA on every attention layer, r (in + out) numbers each; or the whole U-Net."""
    rank, is_unet = settings.get("rank", 8), settings.get("layers") == "all"
    in_text = bool(settings.get("train_text_encoder"))
    trained = size.num_unet_parameters if is_unet else rank * _sides_of_attention(size)
    trained += in_text * rank * size.text_layers * 4 * 2 * size.text_width
    return Footprint(trained, text_mb=in_text * _text_mb(size), is_unet=is_unet)


def of_lora(settings: Settings, size: BaseSize) -> Footprint:
    """A LoRA on attention layers or on every layer; all weights where the base is small."""
    layers = settings.get("layers", "auto")
    is_unet = layers == "all" or (layers == "auto" and size.num_unet_parameters < SMALL_UNET)
    found = of_dreambooth({**settings, "layers": "all" if is_unet else "attention"}, size)
    return replace(found, num_trained=found.num_trained * (EVERY if layers == "every" else 1))


def of_custom_diffusion(settings: Settings, size: BaseSize) -> Footprint:
    """W_K and W_V of every cross-attention, (C, D) each, and k vectors."""
    width = size.unet.conditioning_width
    keys = sum(2 * point.channels * width for point in size.unet.attentions)
    vectors = settings.get("num_vectors", 1) * size.text_width
    return Footprint(keys + vectors, text_mb=_text_mb(size))


def of_anl(settings: Settings, size: BaseSize) -> Footprint:
    """A module behind every residual block: W_Q, W_K, W_V, and two linear layers."""
    is_conditional = settings["variant"] == "conditional"
    condition_width = (size.clip_width or USUAL_CLIP_WIDTH) if is_conditional else 0
    number, floats = condition_width, 0
    for point in size.unet.blocks:
        width = settings["width"] or point.channels
        inner = settings["rank"] or point.channels
        number += _anl_numbers(point, width, inner, condition_width or point.channels)
        attended = (ATTENDED if is_conditional else SELF_ATTENDED) * width
        floats += point.cells * (2 * point.channels + attended + 2 * inner)
    return Footprint(number, activations_mb=floats * FLOAT_BYTES / MEGABYTE)


def of_control(settings: Settings, size: BaseSize) -> Footprint:
    """A copy of the way down and the middle; or the small network of a T2I-Adapter.

    The latter has two residual blocks of 10 C^2 numbers a level, each leaving four tensors.
    """
    network = settings.get("network", "auto")
    if network == "controlnet" or (network == "auto" and size.num_unet_parameters < SMALL_UNET):
        share = SHARE_OF_COPY
        return Footprint(int(share * size.num_unet_parameters), share * size.activations_mb)
    levels = set(size.unet.blocks)
    number = sum(2 * 10 * level.channels**2 for level in levels)
    floats = sum(2 * 4 * level.cells * level.channels for level in levels)
    return Footprint(number, floats * FLOAT_BYTES / MEGABYTE)


def of_whole_unet(settings: Settings, size: BaseSize) -> Footprint:
    """Every weight of a U-Net that takes the place of the base's."""
    return Footprint(size.num_unet_parameters, is_unet=True)


def _sides_of_attention(size: BaseSize) -> int:
    """in + out of every q, k, v and out: six that are square, two that read D, a place."""
    width = size.unet.conditioning_width
    return sum(6 * 2 * p.channels + 2 * (p.channels + width) for p in size.unet.attentions)


def _anl_numbers(point: AttachmentPoint, width: int, inner: int, condition_width: int) -> int:
    attention = width * (point.channels + 2 * condition_width)
    return attention + (width + 1) * inner + (inner + 1) * point.channels


def _text_mb(size: BaseSize) -> float:
    floats = size.text_layers * TEXT_TENSORS * TEXT_TOKENS * size.text_width
    return floats * FLOAT_BYTES / MEGABYTE
