"""Generated images on disk: PNG files that say how they were made."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dyod_studio.datasets.preparing import thumbnail
from dyod_studio.jobs.infotext import a1111_text, base_name, invokeai_metadata
from dyod_studio.store.files import PNG, WEBP, FileStore

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
    said = dict(parameters)
    if "base" in said:
        said["base"] = base_name(said["base"])
    chunks = PngInfo()
    chunks.add_text(METADATA_KEY, json.dumps({"schema": SCHEMA_VERSION, **said}, sort_keys=True))
    chunks.add_text(A1111_KEY, a1111_text(said, image.size))
    chunks.add_text(INVOKEAI_KEY, json.dumps(invokeai_metadata(said, image.size), sort_keys=True))
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=chunks)
    return file.getvalue()
