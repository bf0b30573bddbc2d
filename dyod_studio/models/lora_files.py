"""The file layout of a LoRA that A1111, ComfyUI, InvokeAI and diffusers all read (kohya's).

For each layer three tensors: ``NAME.lora_down.weight`` (r, in), ``NAME.lora_up.weight`` (out, r)
and ``NAME.alpha``; a convolution's have two more axes. NAME is ``lora_unet_`` or ``lora_te_`` and
the layer's path in diffusers with underscores for dots.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.base import BaseModel

NETWORK_PREFIXES = {"unet": "lora_unet_", "text_encoder": "lora_te_"}
"""Network of the base model -> what the names of its layers begin with."""
TEXT_MODEL = "text_model."
"""Older libraries keep CLIP's text layers one level deeper, and the layout follows them."""
DOWN, UP, ALPHA = "lora_down.weight", "lora_up.weight", "alpha"

GENERATIONS = {768: ("sd_v1", "stable-diffusion-v1"), 1024: ("sd_v2", "stable-diffusion-v2")}
"""Width of the conditioning -> how kohya's tools and modelspec call the base's generation."""


@dataclass(frozen=True, slots=True)
class LoraWeights:
    """One layer's update, (alpha / r) up @ down."""

    down: Tensor
    up: Tensor
    alpha: float

    @property
    def rank(self) -> int:
        """r."""
        return self.down.shape[0]


def layer_name(network: str, module: str) -> str:
    """Name of a layer: ``unet`` and ``mid_block.x`` make ``lora_unet_mid_block_x``."""
    if network == "text_encoder":
        module = TEXT_MODEL + module.removeprefix(TEXT_MODEL)
    return NETWORK_PREFIXES[network] + module.replace(".", "_")


def write_layers(layers: Mapping[str, LoraWeights]) -> dict[str, Tensor]:
    """The tensors of a file, by :func:`layer_name`; float32."""
    tensors: dict[str, Tensor] = {}
    for name, weights in layers.items():
        tensors[f"{name}.{DOWN}"] = weights.down.detach().float()
        tensors[f"{name}.{UP}"] = weights.up.detach().float()
        tensors[f"{name}.{ALPHA}"] = torch.tensor(weights.alpha)
    return tensors


def read_layers(tensors: Mapping[str, Tensor]) -> dict[str, LoraWeights]:
    """The layers of a file; a layer without alpha has alpha = r.

    Raises:
        InvalidInputError: it holds something else, or half a layer.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, part = key.partition(".")
        if part not in {DOWN, UP, ALPHA} or not name.startswith(tuple(NETWORK_PREFIXES.values())):
            raise InvalidInputError(
                f"The file holds {key!r}, which is no part of a LoRA for Stable Diffusion 1.x "
                "or 2.x: export it again in kohya's layout."
            )
        parts.setdefault(name, {})[part] = tensor
    if not parts:
        raise InvalidInputError("The file holds no layers: choose another LoRA.")
    return {name: _weights(name, part) for name, part in parts.items()}


def _weights(name: str, part: Mapping[str, Tensor]) -> LoraWeights:
    if DOWN not in part or UP not in part:
        raise InvalidInputError(f"The layer {name} is incomplete: get the file again.")
    down, up = part[DOWN].float(), part[UP].float()
    if down.ndim not in {2, 4} or up.ndim != down.ndim or up.shape[1] != down.shape[0]:
        raise InvalidInputError(
            f"The layer {name} has shapes {tuple(down.shape)} and {tuple(up.shape)}, "
            "which do not fit together: get the file again."
        )
    alpha = float(part[ALPHA]) if ALPHA in part else float(len(down))
    return LoraWeights(down, up, alpha)


def join_loras(loras: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """One LoRA that changes what all of them change together; a single one stays as it is.

    W x + s1 B1 A1 x + s2 B2 A2 x = W x + [s1 B1, s2 B2] [A1; A2] x, of rank r1 + r2.
    """
    if len(loras) == 1:
        return dict(loras[0])
    joined: dict[str, LoraWeights] = {}
    for tensors in loras:
        for name, new in read_layers(tensors).items():
            up = new.up * (new.alpha / new.rank)
            down = new.down
            if (old := joined.get(name)) is not None:
                _check_same(name, old, new)
                down, up = torch.cat([old.down, down]), torch.cat([old.up, up], dim=1)
            joined[name] = LoraWeights(down, up, float(len(down)))
    return write_layers(joined)


def _check_same(name: str, one: LoraWeights, other: LoraWeights) -> None:
    if (one.down.shape[1:], len(one.up)) != (other.down.shape[1:], len(other.up)):
        raise InvalidInputError(
            f"Two LoRAs differ in the shape of {name}: they were made for different base models."
        )


def lora_header(
    *,
    conditioning_width: int,
    rank: int,
    alpha: float,
    title: str,
    trigger_phrase: str,
    resolution: int,
    prediction_type: str,
) -> dict[str, str]:
    """Header that other tools look for: sd-scripts' minimum set and modelspec 1.0.1.

    A base that is neither Stable Diffusion 1.x nor 2.x is called by the width of its conditioning.
    """
    other = f"latent-diffusion-{conditioning_width}"
    version, architecture = GENERATIONS.get(conditioning_width, (other, other))
    return {
        "ss_v2": str(version == "sd_v2"),
        "ss_base_model_version": version,
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank),
        "ss_network_alpha": str(alpha),
        "ss_network_args": "{}",
        "ss_resolution": f"({resolution}, {resolution})",
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{architecture}/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.title": title,
        "modelspec.trigger_phrase": trigger_phrase,
        "modelspec.resolution": f"{resolution}x{resolution}",
        "modelspec.prediction_type": "v" if prediction_type == "v_prediction" else "epsilon",
    }


BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(\w+?)\.(\d+)\.(.+)")
RESNET = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
}
MIDDLE = {"resnets.0": "0", "attentions.0": "1", "resnets.1": "2"}


def known_names(base: BaseModel, layers: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Every name that a LoRA may give to a layer -> the one that the studio writes.

    Args:
        layers: by their paths, for each network of the base.
    """
    names = {}
    depth = base.unet.config.layers_per_block
    for network, paths in layers.items():
        for path in paths:
            names[layer_name(network, path)] = layer_name(network, path)
            if network == "unet" and isinstance(depth, int):
                old = ldm_path(path, depth, paths)
                names[NETWORK_PREFIXES[network] + old.replace(".", "_")] = layer_name(network, path)
    return names


def ldm_path(path: str, depth: int, paths: Mapping[str, Any]) -> str:
    """The path of a layer in the original U-Net.

    Args:
        depth: residual blocks on each level on the way down; there is one more on the way up.
        paths: of all layers, which tell whether a level has attention.
    """
    match = BLOCK.fullmatch(path)
    if match is None:
        return _outside(path)
    part, level, kind, place, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    first = level * (depth + 1)
    if part == "down":
        first, block = first + 1, "input_blocks"
        if kind == "downsamplers":
            return f"{block}.{first + depth}.0.op"
    else:
        block = "output_blocks"
        if kind == "upsamplers":
            behind = any(p.startswith(f"up_blocks.{level}.attentions.") for p in paths)
            return f"{block}.{first + depth}.{1 + behind}.conv"
    if kind == "attentions":
        return f"{block}.{first + place}.1.{rest}"
    return f"{block}.{first + place}.0.{RESNET.get(rest, rest)}"


def _outside(path: str) -> str:
    for new, old in MIDDLE.items():
        if path.startswith(f"mid_block.{new}."):
            rest = path.removeprefix(f"mid_block.{new}.")
            return f"middle_block.{old}.{RESNET.get(rest, rest)}"
    return ENDS.get(path, path)
