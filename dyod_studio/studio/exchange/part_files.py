"""Under which names, and in which layouts, trained parts go out to other tools."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from safetensors import safe_open
from safetensors.numpy import save as save_tensors

WITH_ONE_WORD = ("inversion", "embedding")
"""Kinds that are nothing but a textual inversion: its tools take the file's name as the word."""


def part_files(kind: str, path: Path, word: str) -> Iterator[tuple[str, Path | bytes]]:
    """Name and content of each file that a part goes out as; the one most tools read is first.

    Args:
        path: the stored file. word: what the files are called after.
    """
    stem = re.sub(r"[^\w.-]+", "-", word).strip("-.") or kind
    if kind in WITH_ONE_WORD:
        yield f"{stem}.safetensors", path
        yield f"diffusers/{stem}/learned_embeds.safetensors", diffusers_layout(path)
    else:
        yield f"{stem}-{kind}.safetensors", path


def diffusers_layout(path: Path) -> bytes:
    """The same vectors with the trigger word as key, as diffusers itself writes them."""
    with safe_open(path, framework="numpy") as file:
        vectors, header = file.get_tensor("emb_params"), file.metadata()
    token = json.loads(header["dyod.config"])["token"]
    return save_tensors({token: vectors}, metadata={"format": "pt"})
