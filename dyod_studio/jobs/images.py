"""Generated images on disk: PNG files that say how they were made."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath, PureWindowsPath
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dyod_studio.datasets.images import thumbnail
from dyod_studio.requests.titles import SAMPLERS
from dyod_studio.store.files import PNG, WEBP, FileStore

INVOKEAI_SAMPLERS = {"dpm++": "dpmpp_2m", "euler-a": "euler_a"}
"""Where InvokeAI names a sampler otherwise."""
NEEDS_QUOTES = (",", ":", "\n", '"')
MODES = {"image": "img2img"}
"""What InvokeAI calls the ways that begin from a picture; all others begin from noise."""


def base_name(base: str) -> str:
    """A base model's name without the folder it lies in, which is nobody's business elsewhere."""
    path = PureWindowsPath(base) if "\\" in base else PurePath(base)
    return path.name if path.is_absolute() else base


def a1111_text(metadata: Mapping[str, Any], size: tuple[int, int]) -> str:
    """The ``parameters`` text: the prompt, then one line of ``Key: value`` pairs.

    Keys of this studio begin with DYOD, which other readers pass over.
    """
    pairs: dict[str, Any] = {
        "Steps": metadata.get("num_inference_steps"),
        "Sampler": SAMPLERS[metadata.get("sampler", "ddim")],
        "CFG scale": metadata.get("guidance_scale"),
        "Seed": metadata.get("seed"),
        "Size": f"{size[0]}x{size[1]}",
        "Model hash": metadata.get("base_fingerprint"),
        "Model": base_name(str(metadata.get("base", ""))),
        "Denoising strength": metadata.get("t0"),
        "DYOD kind": metadata.get("kind"),
        "DYOD t0": metadata.get("t0"),
        "DYOD mask": metadata.get("mask_rate") or None,
        "DYOD parts": _parts(metadata),
    }
    line = ", ".join(
        f"{key}: {_quoted(value)}" for key, value in pairs.items() if value not in (None, "")
    )
    return f"{metadata.get('prompt') or ''}\n{line}".lstrip("\n")


def invokeai_metadata(metadata: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """The dictionary of InvokeAI's ``invokeai_metadata``."""
    sampler = str(metadata.get("sampler", "ddim"))
    return {
        "generation_mode": MODES.get(str(metadata.get("kind")), "txt2img"),
        "positive_prompt": metadata.get("prompt") or "",
        "negative_prompt": "",
        "width": size[0],
        "height": size[1],
        "seed": metadata.get("seed"),
        "rand_device": "cpu",
        "cfg_scale": metadata.get("guidance_scale"),
        "steps": metadata.get("num_inference_steps"),
        "scheduler": INVOKEAI_SAMPLERS.get(sampler, sampler),
        "strength": metadata.get("t0"),
        "model": {
            "key": metadata.get("base_fingerprint"),
            "hash": metadata.get("base_fingerprint"),
            "name": base_name(str(metadata.get("base", ""))),
            "base": "any",
            "type": "main",
        },
    }


def _parts(metadata: Mapping[str, Any]) -> str:
    parts = dict(metadata.get("artifacts") or {})
    return "; ".join(f"{kind} {sha256[:10]}" for kind, sha256 in sorted(parts.items()))


def _quoted(value: Any) -> str:
    """A value as it stands in the line; one that would break it is a JSON string."""
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    return json.dumps(text) if any(mark in text for mark in NEEDS_QUOTES) else text


METADATA_KEY = "dyod_metadata"
"""The text chunk that recall reads: every parameter, as JSON."""
INVOKEAI_KEY = "invokeai_metadata"
A1111_KEY = "parameters"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image and its thumbnail, both complete on disk."""

    sha256: str
    thumbnail_sha256: str
    width: int
    height: int


def store_image(files: FileStore, image: Image.Image, parameters: Mapping[str, Any]) -> StoredImage:
    """Store an image with its parameters; the same image of the same parameters is kept once."""
    stored = files.add_bytes(encode_png(image, parameters), PNG)
    small = files.add_bytes(thumbnail(image), WEBP)
    return StoredImage(stored.sha256, small.sha256, image.width, image.height)


def encode_png(image: Image.Image, parameters: Mapping[str, Any]) -> bytes:
    """A PNG file that carries its parameters wherever it goes.

    Text chunks: ``dyod_metadata`` (JSON, every value; a local base model by its name alone),
    ``parameters`` as A1111 writes them, ``invokeai_metadata`` as InvokeAI does.
    """
    metadata = dict(parameters)
    if "base" in metadata:
        metadata["base"] = base_name(metadata["base"])
    chunks = PngInfo()
    chunks.add_text(
        METADATA_KEY, json.dumps({"schema": SCHEMA_VERSION, **metadata}, sort_keys=True)
    )
    chunks.add_text(A1111_KEY, a1111_text(metadata, image.size))
    chunks.add_text(
        INVOKEAI_KEY, json.dumps(invokeai_metadata(metadata, image.size), sort_keys=True)
    )
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=chunks)
    return file.getvalue()
