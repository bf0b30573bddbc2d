"""Generated images on disk: PNG files that say how they were made."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dyod_studio.datasets.preparing import thumbnail
from dyod_studio.store.files import PNG, WEBP, FileStore

METADATA_KEY = "dyod_metadata"
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
    """A PNG file whose ``dyod_metadata`` text chunk holds the parameters as ASCII JSON."""
    chunks = PngInfo()
    metadata = {"schema": SCHEMA_VERSION, **parameters}
    chunks.add_text(METADATA_KEY, json.dumps(metadata, sort_keys=True))
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=chunks)
    return file.getvalue()
