"""How the layers of a U-Net were called before diffusers renamed them.

Some tools still write ``input_blocks_1_1`` where diffusers says ``down_blocks_0_attentions_0``.
"""

import re
from collections.abc import Mapping
from typing import Any

from dyod_studio.models.base import BaseModel
from dyod_studio.models.kohya import PREFIXES, layer_name

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
                names[PREFIXES[network] + old.replace(".", "_")] = layer_name(network, path)
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
    way, level, kind, place, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    first = level * (depth + 1)
    if way == "down":
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
