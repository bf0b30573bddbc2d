"""Trained parts made elsewhere: read, brought to this project's layout, tried on the base model."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import Artifact, load_artifact
from dyod_studio.models.base import BaseModel
from dyod_studio.models.control_files import read_control
from dyod_studio.models.customised import open_customised
from dyod_studio.models.foreign_headers import Header, parse_lora_key, recognise
from dyod_studio.models.lora import plain_layers
from dyod_studio.models.lora_files import (
    ALPHA,
    NETWORK_PREFIXES,
    LoraWeights,
    known_names,
    layer_name,
    lora_header,
    read_layers,
    write_layers,
)
from dyod_studio.models.placeholder import inversion_header
from dyod_studio.models.whole_unet import to_store
from dyod_studio.requests.part_kinds import IMPORTED_FROM, PART_KINDS

PEFT_CONFIG = "adapter_config.json"
PEFT_METADATA = "lora_adapter_metadata"
MAX_CONFIG_BYTES = 1 << 20
UNREAD = ("use_rslora", "use_dora", "alpha_pattern")
"""Settings of PEFT's that change what a layer computes, and that the tensors do not show."""


def read_part(path: Path, header: Header, base: BaseModel, *, token: str, title: str) -> Artifact:
    """The file's part, after it has been attached to the base model once.

    Args:
        token: what a textual inversion will be called in prompts.

    Raises:
        InvalidInputError: it is damaged, unknown, or was made for another base model.
    """
    kind = header.metadata.get("dyod.format", "")
    if kind in PART_KINDS and header.metadata.get("dyod.base_fingerprint") == base.fingerprint:
        artifact = load_artifact(path, kind)
    else:
        artifact = _foreign(path, header, base, token=token, title=title)
    _try(artifact, base, header.name)
    return artifact


def header_for(artifact: Artifact, base: BaseModel) -> dict[str, str]:
    """Header that other tools look for, for the kinds that they read."""
    layout = PART_KINDS[artifact.kind].file_layout
    if layout == "textual-inversion":
        vectors = artifact.tensors["emb_params"]
        return inversion_header(vectors.shape[-1], str(artifact.config["token"]))
    if layout != "lora":
        return {}
    layers = read_layers(artifact.tensors)
    ranks = {weights.rank: weights.alpha for weights in layers.values()}
    title = str(artifact.config.get("title") or artifact.facts["prompt"])
    return lora_header(
        conditioning_width=base.unet.config.cross_attention_dim,
        rank=max(ranks),
        alpha=ranks[max(ranks)],
        title=title,
        trigger_phrase=str(artifact.facts["prompt"]),
        resolution=base.own_resolution,
        prediction_type=base.schedule.prediction_type,
    )


def _foreign(path: Path, header: Header, base: BaseModel, *, token: str, title: str) -> Artifact:
    kind = recognise(header)
    tensors = _load(path)
    about: dict[str, Any] = {"title": title, IMPORTED_FROM: header.name}
    facts: dict[str, Any] = {}
    if kind == "embedding":
        about["token"] = token
        (vectors,) = tensors.values()
        kept = {"emb_params": vectors.reshape(-1, vectors.shape[-1])}
        _check_length(len(kept["emb_params"]), base, header.name)
    elif kind == "control":
        control = read_control(tensors, base, header.name)
        kept, stored_as = to_store(control.tensors())
        facts |= control.facts() | {"stored_as": stored_as}
    else:
        facts["prompt"] = header.metadata.get("modelspec.trigger_phrase", "")
        alphas = _stated_alphas(path, header)
        kept = write_layers(_layers(tensors, base, alphas, header.name))
    return Artifact(kind, base.ref, base.fingerprint, about, facts, kept)


def _check_length(number: int, base: BaseModel, name: str) -> None:
    room = base.tokenizer.model_max_length - 2
    if number > room:
        raise InvalidInputError(
            f"{name} holds {number} vectors, and this base model reads {room} in a prompt."
        )


def _load(path: Path) -> dict[str, Tensor]:
    try:
        tensors = {key: tensor.float() for key, tensor in load_file(path).items()}
    except (SafetensorError, OSError) as exc:
        raise InvalidInputError(
            f"{path.name} is not a readable .safetensors file: get it again."
        ) from exc
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise InvalidInputError(f"{path.name} holds numbers that are not finite: get it again.")
    return tensors


def _layers(
    tensors: Mapping[str, Tensor], base: BaseModel, alphas: Mapping[str, float], name: str
) -> dict[str, LoraWeights]:
    """Its layers under kohya's names of diffusers' layers, in the shapes of this base's own."""
    own = {network: plain_layers(getattr(base, network)) for network in NETWORK_PREFIXES}
    known = known_names(base, own)
    axes = {
        layer_name(n, path): m.weight.ndim for n, paths in own.items() for path, m in paths.items()
    }
    parts: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        layer, part = parse_lora_key(key) or (key, "")
        layer = known.get(layer, layer)
        parts[f"{layer}.{part}"] = _as_layer(tensor, axes.get(layer)) if part != ALPHA else tensor
    if len(parts) < len(tensors):
        raise InvalidInputError(f"{name} holds a layer twice: export it again.")
    for layer in {key.partition(".")[0] for key in parts}:
        alpha = next((alphas[start] for start in alphas if layer.startswith(start)), None)
        if alpha is not None:
            parts.setdefault(f"{layer}.{ALPHA}", torch.tensor(alpha))
    return read_layers(parts)


def _as_layer(tensor: Tensor, axes: int | None) -> Tensor:
    """A 1 x 1 convolution and a linear layer are one thing; tools write either for the other."""
    if axes == 4 and tensor.ndim == 2:
        return tensor[..., None, None]
    if axes == 2 and tensor.ndim == 4 and tensor.shape[2:] == (1, 1):
        return tensor[..., 0, 0]
    return tensor


def _stated_alphas(path: Path, header: Header) -> dict[str, float]:
    """Alphas that PEFT and diffusers state outside the tensors, by what layers' names begin with.

    Without a word alpha is the rank, as these tools take it.
    """
    stated: dict[str, Any] = {}
    beside = path.with_name(PEFT_CONFIG)
    try:
        if PEFT_METADATA in header.metadata:
            stated = json.loads(header.metadata[PEFT_METADATA])
        elif beside.is_file() and beside.stat().st_size <= MAX_CONFIG_BYTES:
            stated = {f"unet.{k}": v for k, v in json.loads(beside.read_text("utf-8")).items()}
        alphas = {
            prefix: float(stated[f"{network}.lora_alpha"])
            for network, prefix in NETWORK_PREFIXES.items()
            if f"{network}.lora_alpha" in stated
        }
    except (ValueError, TypeError, AttributeError) as exc:
        raise InvalidInputError(f"What {header.name} says of its alpha cannot be read.") from exc
    if any(stated.get(f"{network}.{key}") for network in NETWORK_PREFIXES for key in UNREAD):
        raise InvalidInputError(
            f"{header.name} scales its layers in a way of PEFT's that the studio does not read: "
            "export it in kohya's layout."
        )
    return alphas


def _try(artifact: Artifact, base: BaseModel, name: str) -> None:
    """Attach the part once, for what it says when it does not fit."""
    try:
        with ExitStack() as stack:
            open_customised(stack, base, {artifact.kind: artifact}, 0.5)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as exc:
        raise InvalidInputError(f"{name} is damaged: {type(exc).__name__}, {exc}.") from exc
