"""Low-rank updates of frozen layers, by PEFT: attached in place and taken away again.

W x becomes W x + strength (alpha / r) B A x with A (r, in) and B (out, r): arXiv:2106.09685. B is
zero at first, so that a new LoRA changes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from peft import LoraConfig, LoraModel
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import Artifact, Attachment, check_strength
from dyod_studio.models.base import BaseModel
from dyod_studio.models.lora_files import (
    LoraWeights,
    join_loras,
    layer_name,
    read_layers,
    write_layers,
)
from dyod_studio.models.whole_unet import attach_unet, beside_unet

ADAPTER = "dyod"
UNET_LAYERS = ("to_q", "to_k", "to_v", "to_out.0")
"""Of every attention; keys and values of the cross-attention are among them."""
ALL_LAYERS = (
    *UNET_LAYERS, "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out", "conv1", "conv2",
    "conv_shortcut", "time_emb_proj", "conv",
)  # fmt: skip
"""Of every attention and every residual block, up- and down-sampling convolutions too."""
TEXT_LAYERS = ("q_proj", "k_proj", "v_proj", "out_proj")

Shapes = Mapping[str, tuple[int, float]]
"""Path of a layer in its network -> rank and alpha."""


@contextmanager
def with_new_lora(
    base: BaseModel,
    *,
    rank: int,
    alpha: float,
    has_text_encoder: bool,
    seed: int,
    has_unet: bool = True,
    unet_layers: Sequence[str] = UNET_LAYERS,
) -> Iterator[BaseModel]:
    """The base model with a LoRA on every attention layer that changes nothing yet.

    The networks are the base's own; :func:`lora_parameters` are trainable, float32, and the only
    ones that are. When the block is left, the base is exactly as before.

    Args:
        has_text_encoder: the attention of the text encoder gets one too.
        seed: decides A. has_unet: layers of the U-Net get one.
        unet_layers: ends of these layers' paths.

    Raises:
        InvalidInputError: rank or alpha is not positive, or the base has a LoRA already.
    """
    if rank < 1 or alpha <= 0:
        raise InvalidInputError(
            f"rank must be at least 1 and alpha above 0, got {rank} and {alpha:g}."
        )
    suffixes: dict[str, Sequence[str]] = {"unet": unet_layers} if has_unet else {}
    suffixes |= {"text_encoder": TEXT_LAYERS} if has_text_encoder else {}
    with ExitStack() as stack:
        for network, ends in suffixes.items():
            layers = plain_layers(_network(base, network))
            chosen = {n: (rank, alpha) for n in layers if n.endswith(tuple(f".{e}" for e in ends))}
            stack.enter_context(_attached(_network(base, network), chosen, seed))
        yield base


@contextmanager
def with_lora(
    base: BaseModel, tensors: Mapping[str, Tensor], strength: float = 1.0
) -> Iterator[BaseModel]:
    """The base model with a LoRA in kohya's layout, for as long as the block lasts.

    Args:
        strength: 0 is the base model itself, 1 the LoRA as it was trained.

    Raises:
        InvalidInputError: it is no LoRA, or one for another base model, or one is there already;
            or the strength is out of range.
    """
    check_strength(strength)
    layers = read_layers(tensors)
    with ExitStack() as stack:
        left = set(layers)
        for network in ("unet", "text_encoder"):
            known = plain_layers(_network(base, network))
            names = {layer_name(network, path): path for path in known}
            chosen = {names[name]: layers[name] for name in layers if name in names}
            for path, weights in chosen.items():
                _check_fit(known[path], path, weights)
            left -= names.keys()
            if chosen:
                shapes = {path: (w.rank, w.alpha) for path, w in chosen.items()}
                stack.enter_context(_attached(_network(base, network), shapes, seed=0))
        if left:
            raise InvalidInputError(
                f"This LoRA changes {min(left)}, which this base model does not have: "
                "use it with the base model that it was trained on."
            )
        load_lora(base, tensors)
        for layer in _lora_layers(base).values():
            layer.set_scale(ADAPTER, strength)
            layer.requires_grad_(False)
        yield base


def attach_lora(attachment: Attachment, parts: Sequence[Artifact]) -> None:
    """Put the LoRAs of ``parts``, joined to one, on the U-Net and the text encoder.

    A DreamBooth of all layers brings a whole U-Net, with or without a LoRA.
    """
    attach_unet(attachment, parts)
    loras = [lora for part in parts if (lora := beside_unet(part.tensors))]
    if loras:
        joined = join_loras(loras)
        attachment.stack.enter_context(with_lora(attachment.base, joined, attachment.strength))


def lora_parameters(base: BaseModel) -> list[nn.Parameter]:
    """A and B of every layer that is attached to ``base``."""
    return [w for layer in _lora_layers(base).values() for w in _pair(layer)]


def lora_tensors(base: BaseModel) -> dict[str, Tensor]:
    """The attached LoRA in kohya's layout, for a file."""
    return write_layers(
        {
            name: LoraWeights(*_pair(layer), float(layer.lora_alpha[ADAPTER]))
            for name, layer in _lora_layers(base).items()
        }
    )


@torch.no_grad()
def load_lora(base: BaseModel, tensors: Mapping[str, Tensor]) -> None:
    """Copy what :func:`lora_tensors` gave into the attached layers."""
    stored = read_layers(tensors)
    for name, layer in _lora_layers(base).items():
        down, up = _pair(layer)
        down.copy_(stored[name].down)
        up.copy_(stored[name].up)


@contextmanager
def _attached(network: nn.Module, shapes: Shapes, seed: int) -> Iterator[None]:
    """PEFT's layers in place of the network's own, while the block lasts."""
    if hasattr(network, "peft_config"):
        raise InvalidInputError("This base model has a LoRA already: use one at a time.")
    rank, alpha = next(iter(shapes.values()))
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=list(shapes),
        rank_pattern={path: shape[0] for path, shape in shapes.items()},
        alpha_pattern={path: shape[1] for path, shape in shapes.items()},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tuner = LoraModel(network, config, ADAPTER)
    for layer in (m for m in network.modules() if isinstance(m, LoraLayer)):
        layer.lora_A.float()  # PEFT follows the dtype that the layer is stored in
        layer.lora_B.float()
    try:
        yield
    finally:
        tuner.unload()


def _network(base: BaseModel, name: str) -> nn.Module:
    network: nn.Module = getattr(base, name)
    return network


def plain_layers(network: nn.Module) -> dict[str, Any]:
    """The layers that a LoRA can be put on, by their path."""
    return {
        path: module
        for path, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }


def _lora_layers(base: BaseModel) -> dict[str, Any]:
    """The attached layers by their names in kohya's layout."""
    return {
        layer_name(network, path): module
        for network in ("unet", "text_encoder")
        for path, module in _network(base, network).named_modules()
        if isinstance(module, LoraLayer)
    }


def _pair(layer: Any) -> tuple[nn.Parameter, nn.Parameter]:
    return layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight


def _check_fit(layer: Any, path: str, weights: LoraWeights) -> None:
    """W is (out, in) or (out, in, k, k); down keeps all but the first axis, up the first."""
    own = tuple(layer.weight.shape)
    if (weights.up.shape[0], *weights.down.shape[1:]) != own:
        raise InvalidInputError(
            f"This LoRA was made for a layer {path} of shape "
            f"{(weights.up.shape[0], *weights.down.shape[1:])}, this base model's is {own}: "
            "use it with the base model that it was trained on."
        )
