"""References to a base model, and the cheap checks before anything large is read.

No torch here: a project names its base when it is made, long before weights are needed.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dyod_studio.errors import BaseModelError
from dyod_studio.requests.sampling import STARTER

PICKLED_SUFFIXES = (".ckpt", ".bin", ".pt", ".pth")
WEIGHT_SUFFIX = ".safetensors"
WEIGHT_FOLDERS = ("unet", "vae", "text_encoder")
SUPPORTED_PIPELINE = "StableDiffusionPipeline"
UNNAMED = "pipeline without a name"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
SAMPLED_BLOCKS, BLOCK_BYTES = 1024, 4096
"""How much of a weight file goes into its fingerprint: 4 MB, spread evenly."""
HOW_TO_CONVERT = (
    "pickled weights can run any program when they are opened; convert them with the safetensors "
    "library (load with torch.load(..., weights_only=True), write with save_file) and give the "
    ".safetensors file"
)

Kind = Literal["folder", "file", "hub"]


@dataclass(frozen=True, slots=True)
class BaseLocation:
    """Where a base model is. ``path`` is None for one on the hub."""

    kind: Kind
    ref: str
    path: Path | None = None


def check_base_ref(ref: str, starter_dir: Path) -> None:
    """Raise unless a base model of this name can probably be loaded; reads a few small files.

    Raises:
        BaseModelError: it is missing, pickled, incomplete or of another kind.
    """
    location = locate_base(ref, starter_dir)
    if location.kind == "hub":
        fetch_index(ref)


def locate_base(ref: str, starter_dir: Path) -> BaseLocation:
    """Return where the base model is, after checking what can be seen from outside.

    Args:
        ref: ``starter``, a folder in diffusers layout, a .safetensors file or a hub id.

    Raises:
        BaseModelError: it is missing, pickled, incomplete or of another kind.
    """
    if ref == STARTER:
        check_folder(starter_dir, "The starter base model")
        return BaseLocation("folder", ref, starter_dir)
    path = Path(ref).expanduser()
    if path.suffix.lower() in PICKLED_SUFFIXES:
        raise BaseModelError(f"{ref!r} is refused: {HOW_TO_CONVERT}.")
    if path.is_dir():
        check_folder(path, f"The folder {ref!r}")
        return BaseLocation("folder", ref, path)
    if path.is_file():
        if path.suffix.lower() != WEIGHT_SUFFIX:
            raise BaseModelError(f"{ref!r} is no base model: a single file ends in .safetensors.")
        return BaseLocation("file", ref, path)
    if HUB_ID.fullmatch(ref) and path.suffix.lower() != WEIGHT_SUFFIX:
        return BaseLocation("hub", ref)
    raise BaseModelError(
        f"There is no base model {ref!r}: give {STARTER!r}, a folder in diffusers layout, a "
        ".safetensors file, or the id of a model on the Hugging Face hub."
    )


def check_folder(folder: Path, name: str) -> None:
    """Raise unless the folder holds a whole Stable Diffusion 1.x or 2.x in safetensors.

    Args:
        name: how the sentence begins.

    Raises:
        BaseModelError: what is missing, or what is not supported.
    """
    index = folder / "model_index.json"
    if not index.is_file():
        raise BaseModelError(
            f"{name} is not in diffusers layout: it has no model_index.json. For a single file, "
            "give the .safetensors file itself."
        )
    pipeline = read_json(index).get("_class_name")
    if pipeline != SUPPORTED_PIPELINE:
        raise BaseModelError(
            f"{name} holds a {pipeline or UNNAMED}; Stable Diffusion 1.x and 2.x can be customised."
        )
    for part in WEIGHT_FOLDERS:
        _check_weights(folder / part, name)
    for needed in ("scheduler/scheduler_config.json", "tokenizer"):
        if not (folder / needed).exists():
            raise BaseModelError(f"{name} is incomplete: it has no {needed}.")


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of one part of a base model, in order."""
    return sorted(folder.glob(f"*{WEIGHT_SUFFIX}"))


def fingerprint_of(path: Path) -> str:
    """Return a short hash of the weights in a folder or file, the same on every machine.

    Sizes, headers and evenly spaced blocks go in, so that gigabytes need not be read, and a model
    fine-tuned in a few layers still differs.
    """
    digest = hashlib.sha256()
    parts = [path / part for part in WEIGHT_FOLDERS] if path.is_dir() else []
    for file_path in [file for part in parts for file in weight_files(part)] or [path]:
        size = file_path.stat().st_size
        stride = max(BLOCK_BYTES, size // SAMPLED_BLOCKS)
        digest.update(f"{file_path.parent.name} {size} ".encode())
        with file_path.open("rb") as file:
            for offset in range(0, size, stride):
                file.seek(offset)
                digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()[:16]


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a small JSON file.

    Raises:
        BaseModelError: it cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise BaseModelError(f"{str(path)!r} cannot be read: {exc}.") from exc
    if not isinstance(content, dict):
        raise BaseModelError(f"{str(path)!r} does not hold a JSON object.")
    return content


def fetch_index(hub_id: str) -> None:
    """Fetch model_index.json of a model on the hub, from the local cache if it is there.

    Raises:
        BaseModelError: there is no such model, or the hub cannot be reached.
    """
    from httpx import HTTPError
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        index = hf_hub_download(hub_id, "model_index.json")
    except LocalEntryNotFoundError as exc:
        raise BaseModelError(unreachable(hub_id)) from exc
    except HfHubHTTPError as exc:
        raise BaseModelError(
            f"The Hugging Face hub has no base model {hub_id!r} in diffusers layout that you may "
            "read."
        ) from exc
    except (OSError, HTTPError) as exc:
        raise BaseModelError(unreachable(hub_id)) from exc
    pipeline = read_json(Path(index)).get("_class_name")
    if pipeline != SUPPORTED_PIPELINE:
        raise BaseModelError(
            f"{hub_id!r} holds a {pipeline or UNNAMED}; Stable Diffusion 1.x and 2.x can be "
            "customised."
        )


def unreachable(hub_id: str) -> str:
    """The sentence for a hub model that is neither here nor within reach."""
    return (
        f"There is no folder {hub_id!r}, and no base model of that id is on this machine; the "
        "Hugging Face hub cannot be reached to fetch it."
    )


def _check_weights(part: Path, name: str) -> None:
    files = {file.name for file in weight_files(part)}
    if not files:
        if part.is_dir() and any(file.suffix in PICKLED_SUFFIXES for file in part.iterdir()):
            raise BaseModelError(f"{name} is refused: in {part.name}, {HOW_TO_CONVERT}.")
        raise BaseModelError(f"{name} is incomplete: it has no weights in {part.name}.")
    for index in part.glob(f"*{WEIGHT_SUFFIX}.index.json"):
        missing = sorted(set(read_json(index).get("weight_map", {}).values()) - files)
        if missing:
            raise BaseModelError(f"{name} is incomplete: {part.name}/{missing[0]} is missing.")
