"""Trained parts: one .safetensors file whose header says what it is, and what attaching it changes.

Header (all strings): ``dyod.format`` = the artifact's kind, ``dyod.version``, ``dyod.config`` and
``dyod.facts`` as JSON, ``dyod.base`` and ``dyod.base_fingerprint``; further keys follow
modelspec 1.0.1 so that other tools show a title and a trigger word.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dyod_studio.disk import write_beside_and_rename
from dyod_studio.errors import InvalidInputError
from dyod_studio.models.base import BaseModel

FORMAT_VERSION = "1"
HEADER_SIZE_BYTES = 8


@dataclass(frozen=True, slots=True)
class Artifact:
    """Tensors of a trained part with what is needed to use it again.

    Args:
        kind: the name of the method that made it.
        config: the method's settings. facts: what was learned about it, JSON-able.
    """

    kind: str
    base_ref: str
    base_fingerprint: str
    config: Mapping[str, Any]
    facts: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def save_artifact(artifact: Artifact, path: Path, extra: Mapping[str, str] | None = None) -> Path:
    """Write the file whole: a reader never meets half of it.

    Equal parts are equal files, byte for byte.
    """
    header = {
        "format": "pt",
        "dyod.format": artifact.kind,
        "dyod.version": FORMAT_VERSION,
        "dyod.base": artifact.base_ref,
        "dyod.base_fingerprint": artifact.base_fingerprint,
        "dyod.config": json.dumps(artifact.config, sort_keys=True),
        "dyod.facts": json.dumps(artifact.facts, sort_keys=True),
        **(extra or {}),
    }
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in artifact.tensors.items()
    }
    with write_beside_and_rename(path) as partial:
        save_file(tensors, partial, metadata=header)
        _settle(partial)
    return path


def _settle(path: Path) -> None:
    """Put the header's keys in order, which safetensors writes in a random one."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(HEADER_SIZE_BYTES), "little")
        header = json.loads(file.read(size))
        ordered = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if len(ordered.encode()) <= size:  # always so far: the same JSON in another order
            file.seek(HEADER_SIZE_BYTES)
            file.write(ordered.encode().ljust(size))


def load_artifact(path: Path, kind: str) -> Artifact:
    """Read a trained part; nothing is unpickled or evaluated.

    Raises:
        InvalidInputError: not a safetensors file, or not an artifact of this kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    except (SafetensorError, FileNotFoundError) as exc:
        raise InvalidInputError(f"{path.name} is not a readable .safetensors file.") from exc
    if header.get("dyod.format") != kind or header.get("dyod.version") != FORMAT_VERSION:
        found = header.get("dyod.format", "something else")
        raise InvalidInputError(f"{path.name} holds {found}, not a trained {kind}.")
    return Artifact(
        kind=kind,
        base_ref=header["dyod.base"],
        base_fingerprint=header["dyod.base_fingerprint"],
        config=json.loads(header["dyod.config"]),
        facts=json.loads(header["dyod.facts"]),
        tensors=tensors,
    )


@dataclass(slots=True)
class Attachment:
    """Base model in the hands of each kind's ``attach``; nothing of the base is copied.

    Args:
        stack: takes every part away again when it is closed.
        plain: the base model without any part.
        base: the same with what is attached so far.
        strength: share of what is changed of the U-Net, in [0, 1].
        token: the placeholder token that was attached first.
        vae: the initial generator. conditioner: draws after pictures and texts.
        control: follows lines.
    """

    stack: ExitStack
    plain: BaseModel
    base: BaseModel
    strength: float
    token: str | None = None
    vae: Any = None
    conditioner: Any = None
    control: Any = None


Hook = Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor]
"""(layer, its inputs, its output) -> the output that takes its place."""


@contextmanager
def changed_outputs(
    layers: Mapping[str, nn.Module], hook_of: Callable[[str, float], Hook], strength: float
) -> Iterator[None]:
    """Layers whose outputs are changed for as long as the block lasts; nothing is copied.

    Args:
        layers: by their path. hook_of: path and strength -> what is done at that layer.
        strength: share of the change, in [0, 1]; at 0 the layers are left alone.

    Raises:
        InvalidInputError: the strength is out of range.
    """
    check_strength(strength)
    handles = [
        layer.register_forward_hook(hook_of(path, strength))
        for path, layer in layers.items()
        if strength
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def check_strength(strength: float) -> None:
    """Refuse what is no share.

    Raises:
        InvalidInputError: the strength is out of range.
    """
    if not 0 <= strength <= 1:
        raise InvalidInputError(f"adapter strength must lie in [0, 1], got {strength}.")
