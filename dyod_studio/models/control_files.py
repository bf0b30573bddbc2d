"""Control nets as other tools keep them: diffusers' folder and names, and A1111's.

N levels of the U-Net with L layers each. No torch but for tensors that are handed through.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
from safetensors import safe_open
from safetensors.numpy import load_file, save

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.base import BaseModel
from dyod_studio.models.control import ControlNetwork, NetworkKind, load_weights, new_control

LDM_PREFIX = "control_model."
ADAPTER_KEY = "adapter.conv_in.weight"
WEIGHTS_NAME = "diffusion_pytorch_model"
WHOLE = {
    "conv_in.": "input_blocks.0.0.",
    "time_embedding.linear_1.": "time_embed.0.",
    "time_embedding.linear_2.": "time_embed.2.",
    "controlnet_cond_embedding.conv_in.": "input_hint_block.0.",
    "controlnet_mid_block.": "middle_block_out.0.",
    "mid_block.resnets.0.": "middle_block.0.",
    "mid_block.attentions.0.": "middle_block.1.",
    "mid_block.resnets.1.": "middle_block.2.",
}
OF_BLOCKS = {
    "norm1.": "in_layers.0.",
    "conv1.": "in_layers.2.",
    "time_emb_proj.": "emb_layers.1.",
    "norm2.": "out_layers.0.",
    "conv2.": "out_layers.3.",
    "conv_shortcut.": "skip_connection.",
}
"""Layers of a residual block: diffusers' names and the first implementation's."""


def read_control(tensors: Mapping[str, Any], base: BaseModel, name: str) -> ControlNetwork:
    """The network that a file made elsewhere holds, in the shape that goes with this base.

    Args:
        tensors: by the names of diffusers, or of the first implementation as A1111 keeps them.

    Raises:
        InvalidInputError: it was made for a base of another shape.
    """
    is_adapter = ADAPTER_KEY in tensors
    kind: NetworkKind = "t2i-adapter" if is_adapter else "controlnet"
    channels = len(tensors[ADAPTER_KEY][0]) // base.vae_scale_factor**2 if is_adapter else 3
    control = new_control(base, kind, seed=0, channels=channels)
    if any(key.startswith(LDM_PREFIX) for key in tensors):
        tensors = convert_controlnet_checkpoint(dict(tensors), control.network.config)
    try:
        load_weights(control.network, tensors)
    except InvalidInputError as exc:
        raise InvalidInputError(
            f"{name} is a network for a base model of another shape than this project's: choose "
            "one that was made for it."
        ) from exc
    return control


def control_files(path: Path, stem: str) -> dict[str, Path | bytes]:
    """Name and content of each file that a network goes out as; the one ComfyUI reads is first."""
    with safe_open(path, framework="numpy") as file:
        config = json.loads(file.metadata()["dyod.facts"])["network_config"]
    folder = f"diffusers/{stem}"
    files: dict[str, Path | bytes] = {
        f"{stem}.safetensors": path,
        f"{folder}/config.json": json.dumps(config, indent=2, sort_keys=True).encode(),
        f"{folder}/{WEIGHTS_NAME}.safetensors": path,
    }
    if config["_class_name"] == "ControlNetModel":
        files[f"a1111/{stem}.safetensors"] = save(ldm_names(load_file(path), config))
    return files


def ldm_names(tensors: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors under the names of the first implementation, as A1111's extension reads them."""
    places = {**WHOLE, **_places(config)}
    named = {}
    for key, tensor in tensors.items():
        start = next(start for start in places if key.startswith(start))
        rest = key.removeprefix(start)
        for diffusers, ldm in OF_BLOCKS.items() if "resnets" in start else ():
            rest = rest.replace(diffusers, ldm)
        named[f"{LDM_PREFIX}{places[start]}{rest}"] = tensor
    return named


def _places(config: Mapping[str, Any]) -> dict[str, str]:
    """Where each block of the way down is counted, by what diffusers calls it."""
    layers, levels = config["layers_per_block"], len(config["block_out_channels"])
    found, number = {}, 1
    for level in range(levels):
        for layer in range(layers):
            found[f"down_blocks.{level}.resnets.{layer}."] = f"input_blocks.{number}.0."
            found[f"down_blocks.{level}.attentions.{layer}."] = f"input_blocks.{number}.1."
            number += 1
        if level < levels - 1:
            found[f"down_blocks.{level}.downsamplers.0.conv."] = f"input_blocks.{number}.0.op."
            number += 1
    found |= {f"controlnet_down_blocks.{n}.": f"zero_convs.{n}.0." for n in range(number)}
    hints = 2 * (len(config["conditioning_embedding_out_channels"]) - 1)
    found |= {
        f"controlnet_cond_embedding.blocks.{n}.": f"input_hint_block.{2 * n + 2}."
        for n in range(hints)
    }
    found["controlnet_cond_embedding.conv_out."] = f"input_hint_block.{2 * hints + 2}."
    return found


def weights_of(folder: Path) -> Path:
    """The file with the weights in a folder of diffusers' layout.

    Raises:
        InvalidInputError: there is none, or only pickled ones.
    """
    for name in (f"{WEIGHTS_NAME}.safetensors", f"{WEIGHTS_NAME}.fp16.safetensors"):
        if (folder / name).is_file():
            return folder / name
    raise InvalidInputError(
        f"{folder.name} holds no {WEIGHTS_NAME}.safetensors: choose the file itself, or the "
        "folder of a control net as diffusers keeps it."
    )
