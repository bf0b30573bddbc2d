"""Trained parts made elsewhere, told apart by what a .safetensors file says before its tensors.

No torch here: the page asks, long before weights are needed. Nothing is unpickled or evaluated.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.references import HOW_TO_CONVERT, PICKLED_SUFFIXES, WEIGHT_SUFFIX

MAX_HEADER_BYTES = 32 << 20
"""Thumbnails and lists of tags stand in headers too; more than this no file needs."""
SIZE_BYTES = 8
FLOATS = ("F16", "BF16", "F32", "F64")
EMBEDDING_KEYS = ("emb_params", "emp_params", "string_to_param", "string_to_param.*", "*")
"""Keys of a textual inversion's vectors in other tools; diffusers uses the token itself."""
PREFIXES = {
    "lora_unet_": "lora_unet_",
    "lora_te_text_model_": "lora_te_text_model_",
    "lora_te1_text_model_": "lora_te_text_model_",
    "lora_te1_": "lora_te_text_model_",
    "unet.": "lora_unet_",
    "diffusion_model.": "lora_unet_",
    "text_encoder.text_model.": "lora_te_text_model_",
    "text_encoder.": "lora_te_text_model_",
    "base_model.model.text_model.": "lora_te_text_model_",
    "base_model.model.": "lora_unet_",
}
"""Beginnings of a LoRA's keys, the first that fits -> what kohya's tools write instead."""
LORA_KEY = re.compile(
    r"(?P<path>.+?)"
    r"(?:\.(?:lora_(?P<kohya>down|up)|lora\.(?P<old>down|up)|lora_linear_layer\.(?P<text>down|up)"
    r"|lora_(?P<peft>[AB])(?:\.default)?)\.weight"
    r"|_lora\.(?P<processor>down|up)\.weight|\.(?P<alpha>alpha))"
)
PARTS = {"down": "lora_down.weight", "A": "lora_down.weight"} | {
    "up": "lora_up.weight",
    "B": "lora_up.weight",
}
XL_KEYS = ("lora_te2_", "text_encoder_2.", "clip_l", "clip_g")
CHECKPOINT_KEYS = ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.")
CONTROL_KEYS = (
    "controlnet_cond_embedding.conv_in.weight",
    "control_model.input_hint_block.0.weight",
    "adapter.conv_in.weight",
)
"""Keys of control nets and T2I-Adapters, in diffusers' layout and in the first one."""

ForeignKind = Literal["embedding", "lora", "control"]


@dataclass(frozen=True, slots=True)
class Header:
    """Metadata, and the shape of each tensor by its key."""

    name: str
    metadata: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]


def read_header(path: Path) -> Header:
    """Read what stands before the tensors; at most 32 MB, whatever the file claims.

    Raises:
        InvalidInputError: there is no such file, it is pickled, or no safetensors file.
    """
    if not path.is_file():
        raise InvalidInputError(f"There is no file {str(path)!r}.")
    if path.suffix.lower() in PICKLED_SUFFIXES:
        raise InvalidInputError(f"{path.name} is refused: {HOW_TO_CONVERT}.")
    if path.suffix.lower() != WEIGHT_SUFFIX:
        raise InvalidInputError(
            f"{path.name} is no trained part: a LoRA, a textual inversion or a control net ends in "
            ".safetensors."
        )
    try:
        metadata, shapes = _parse(path)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise InvalidInputError(
            f"{path.name} is not a readable .safetensors file: get it again."
        ) from exc
    return Header(path.name, metadata, shapes)


def _parse(path: Path) -> tuple[dict[str, str], dict[str, tuple[int, ...]]]:
    length = path.stat().st_size
    with path.open("rb") as file:
        size = int.from_bytes(file.read(SIZE_BYTES), "little")
        if not 2 <= size <= min(MAX_HEADER_BYTES, length - SIZE_BYTES):
            raise ValueError("the header's size cannot be right")
        rows: dict[str, Any] = json.loads(file.read(size))
    metadata = rows.pop("__metadata__", {})
    metadata_texts = {str(key): value for key, value in metadata.items() if isinstance(value, str)}
    if any(row["dtype"] not in FLOATS for key, row in rows.items() if not key.endswith(".alpha")):
        raise ValueError("a tensor of whole numbers")
    return metadata_texts, {key: tuple(int(n) for n in row["shape"]) for key, row in rows.items()}


def recognise(header: Header) -> ForeignKind:
    """Kind of what the file holds, by its keys.

    Raises:
        InvalidInputError: nothing that the studio knows for Stable Diffusion 1.x or 2.x; names
            the key that tells.
    """
    keys = list(header.shapes)
    if not keys:
        raise InvalidInputError(f"{header.name} holds no tensors: choose another file.")
    if any(key in header.shapes for key in CONTROL_KEYS):
        return "control"
    for key in keys:
        _refuse_others(header.name, key)
    is_single = len(keys) == 1 and len(header.shapes[keys[0]]) in {1, 2}
    if keys[0] in EMBEDDING_KEYS or (is_single and parse_lora_key(keys[0]) is None):
        _check_embedding(header)
        return "embedding"
    strange = next((key for key in keys if parse_lora_key(key) is None), None)
    if strange is None:
        return "lora"
    raise InvalidInputError(
        f"{header.name} holds {strange!r}, which belongs to no LoRA, textual inversion or control "
        "net that the studio knows: export it again in kohya's or in diffusers' layout."
    )


def parse_lora_key(key: str) -> tuple[str, str] | None:
    """(layer, part) as kohya's tools would write them, or None when it is no LoRA's key.

    ``unet.mid_block.x.to_q.lora_A.weight`` gives ``lora_unet_mid_block_x_to_q`` and
    ``lora_down.weight``.
    """
    match = LORA_KEY.fullmatch(key)
    if match is None:
        return None
    path = match["path"]
    if match["processor"]:
        path = path.replace(".processor.", ".").removesuffix("to_out") + (
            "to_out.0" if path.endswith("to_out") else ""
        )
    prefix = next((prefix for prefix in PREFIXES if path.startswith(prefix)), None)
    if prefix is None:
        return None
    name = PREFIXES[prefix] + path.removeprefix(prefix).replace(".", "_")
    if match["alpha"]:
        return name, "alpha"
    groups = ("kohya", "old", "text", "peft", "processor")
    return name, PARTS[next(match[group] for group in groups if match[group])]


def _refuse_others(name: str, key: str) -> None:
    if key.startswith(XL_KEYS):
        raise InvalidInputError(
            f"{name} holds {key!r}: it was made for Stable Diffusion XL, and the studio customises "
            "Stable Diffusion 1.x and 2.x."
        )
    if key.startswith(CHECKPOINT_KEYS):
        raise InvalidInputError(
            f"{name} is a whole base model, not a part of one: make a project on it instead."
        )


def _check_embedding(header: Header) -> None:
    if len(header.shapes) == 1:
        return
    second = [key for key in header.shapes if key not in EMBEDDING_KEYS][:1] or list(header.shapes)
    raise InvalidInputError(
        f"{header.name} holds {second[0]!r} beside the vectors of a textual inversion: export it "
        "again with the vectors alone."
    )
