"""Metadata of a PNG file, read as from a stranger: within Pillow's bounds, and JSON only.

Own metadata first, then InvokeAI's, then A1111's text. Of those two only what has a meaning here
is taken: prompt, seed, steps, guidance.
"""

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile

from dyod_studio.errors import InvalidInputError
from dyod_studio.jobs.images import A1111_KEY, INVOKEAI_KEY, METADATA_KEY, SCHEMA_VERSION
from dyod_studio.requests.titles import SAMPLERS
from dyod_studio.services.views import Source

UNREADABLE = (ValueError, OSError, EOFError, SyntaxError, zlib.error, Image.DecompressionBombError)
"""Errors that Pillow raises on damaged files, and beyond its bounds of a text and of all texts."""
MAX_PAIRS = 200
"""Of A1111's line."""
NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")


@dataclass(frozen=True, slots=True)
class ImageMetadata:
    """Metadata of a picture: the values by this studio's names, and what has no use here."""

    source: Source
    values: dict[str, Any]
    unused: tuple[str, ...] = ()


def read_metadata(path: Path) -> ImageMetadata:
    """Metadata that says how the picture was made.

    Raises:
        InvalidInputError: no PNG, damaged, or it says nothing that can be used.
    """
    texts = read_texts(path)
    if METADATA_KEY in texts:
        return ImageMetadata("dyod", _own(texts[METADATA_KEY], path.name))
    if INVOKEAI_KEY in texts:
        return _of_invokeai(_json(texts[INVOKEAI_KEY], path.name))
    if A1111_KEY in texts:
        return _of_a1111(texts[A1111_KEY])
    raise InvalidInputError(
        f"{path.name} says nothing of how it was made: take a PNG as this studio, A1111 or "
        "InvokeAI wrote it."
    )


def read_texts(path: Path) -> dict[str, str]:
    """The text chunks of a PNG file by their keywords.

    Raises:
        InvalidInputError: no PNG, or damaged.
    """
    if not path.is_file():
        raise InvalidInputError(f"There is no picture {str(path)!r}.")
    try:
        with Image.open(path, formats=("PNG",)) as image:
            texts = image.text if isinstance(image, PngImageFile) else {}
    except UnidentifiedImageError as exc:
        raise InvalidInputError(f"{path.name} is damaged, or no PNG picture.") from exc
    except UNREADABLE as exc:
        raise InvalidInputError(f"{path.name} is damaged, or its texts are too large.") from exc
    return {keyword: str(text) for keyword, text in texts.items()}


def _json(text: str, name: str) -> dict[str, Any]:
    """The object in a JSON text; NaN and Infinity are no JSON."""
    try:
        content = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise InvalidInputError(f"What {name} says of itself is no JSON.") from exc
    if not isinstance(content, dict):
        raise InvalidInputError(f"What {name} says of itself is no JSON object.")
    return content


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _own(text: str, name: str) -> dict[str, Any]:
    metadata = _json(text, name)
    if metadata.get("schema") != SCHEMA_VERSION:
        raise InvalidInputError(
            f"{name} was made by another release (metadata {str(metadata.get('schema'))[:20]}); "
            "update the studio."
        )
    return {key: value for key, value in metadata.items() if key != "schema"}


def _of_invokeai(metadata: Mapping[str, Any]) -> ImageMetadata:
    taken = {
        "prompt": metadata.get("positive_prompt"),
        "seed": metadata.get("seed"),
        "num_inference_steps": metadata.get("steps"),
        "guidance_scale": metadata.get("cfg_scale"),
    }
    unused = {
        "negative prompt": metadata.get("negative_prompt"),
        "scheduler": metadata.get("scheduler"),
        "LoRAs": metadata.get("loras"),
        "ControlNets": metadata.get("controlnets"),
        "start picture": metadata.get("init_image"),
    }
    return _foreign("invokeai", taken, unused)


def _of_a1111(text: str) -> ImageMetadata:
    lines = text.strip().split("\n")
    pairs = _pairs(lines[-1])
    if len(pairs) < 3:
        raise InvalidInputError("The picture's A1111 parameters hold no line of settings.")
    prompt, negative = _prompts(lines[:-1])
    known = {name: sampler for sampler, name in SAMPLERS.items()}
    taken = {
        "prompt": prompt,
        "seed": _number(pairs.get("Seed")),
        "num_inference_steps": _number(pairs.get("Steps")),
        "guidance_scale": _number(pairs.get("CFG scale")),
        "sampler": known.get(pairs.get("Sampler", "")),
    }
    unused = {
        "negative prompt": negative,
        "sampler": None if pairs.get("Sampler") in known else pairs.get("Sampler"),
        "model": pairs.get("Model"),
        "denoising strength": pairs.get("Denoising strength"),
    }
    return _foreign("a1111", taken, unused)


def _prompts(lines: list[str]) -> tuple[str, str]:
    """Prompts before and after ``Negative prompt:``."""
    mark = "Negative prompt:"
    first = next((n for n, line in enumerate(lines) if line.startswith(mark)), len(lines))
    return "\n".join(lines[:first]).strip(), "\n".join(lines[first:]).removeprefix(mark).strip()


def _pairs(line: str) -> dict[str, str]:
    """``Key: value, Key: "value, quoted"`` as a dictionary."""
    pairs: dict[str, str] = {}
    decoder = json.JSONDecoder()
    rest = line.strip()
    while rest and len(pairs) < MAX_PAIRS:
        key, colon, rest = rest.partition(":")
        if not colon:
            break
        rest = rest.lstrip()
        if rest.startswith('"'):
            try:
                value, end = decoder.raw_decode(rest)
            except ValueError:
                break
            rest = rest[end:].partition(",")[2]
        else:
            value, _, rest = rest.partition(",")
        pairs[key.strip()] = str(value).strip()
        rest = rest.lstrip()
    return pairs


def _number(text: str | None) -> int | float | None:
    """The number that a text is, if it is one."""
    if text is None or not NUMBER.fullmatch(text):
        return None
    return float(text) if "." in text else int(text)


def _foreign(source: Source, taken: Mapping[str, Any], unused: Mapping[str, Any]) -> ImageMetadata:
    values = {name: value for name, value in taken.items() if value is not None}
    if not values:
        raise InvalidInputError("The picture says nothing that this studio has a use for.")
    return ImageMetadata(source, values, tuple(name for name, value in unused.items() if value))
