"""What a PNG file says of how it was made, read as from a stranger: bounded, and JSON only.

Own metadata first, then InvokeAI's, then A1111's text. Of those two only what has a meaning here
is taken: prompt, seed, steps, guidance.
"""

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dyod_studio.errors import InvalidInputError
from dyod_studio.jobs.images import A1111_KEY, INVOKEAI_KEY, METADATA_KEY, SCHEMA_VERSION
from dyod_studio.services.gallery.views import Source

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
MAX_CHUNKS = 10_000
MAX_TEXT_BYTES = 1 << 20
"""Of one text, unpacked."""
MAX_TEXTS = 64
MAX_PAIRS = 200
"""Of A1111's line."""
NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
HEADER_BYTES = 8
CHECKSUM_BYTES = 4


@dataclass(frozen=True, slots=True)
class ImageMetadata:
    """What a picture says: the values by this studio's names, and what of it has no use here."""

    source: Source
    values: dict[str, Any]
    unused: tuple[str, ...] = ()


def read_metadata(path: Path) -> ImageMetadata:
    """What the picture says of how it was made.

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
    """The text chunks of a PNG file by their keywords; a keyword's first text counts.

    Raises:
        InvalidInputError: no PNG, or damaged.
    """
    if not path.is_file():
        raise InvalidInputError(f"There is no picture {str(path)!r}.")
    texts: dict[str, str] = {}
    with path.open("rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            raise InvalidInputError(f"{path.name} is no PNG picture.")
        try:
            for kind, data in _text_chunks(file):
                keyword, text = _text(kind, data)
                texts.setdefault(keyword, text)
        except (ValueError, EOFError, zlib.error) as exc:
            raise InvalidInputError(f"{path.name} is damaged, or its texts are too large.") from exc
    return texts


def _text_chunks(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The texts one after the other; everything else is passed over unread."""
    num_texts = 0
    for _ in range(MAX_CHUNKS):
        header = file.read(HEADER_BYTES)
        if not header:
            return
        if len(header) < HEADER_BYTES:
            raise EOFError
        size, kind = int.from_bytes(header[:4], "big"), header[4:]
        if kind == b"IEND":
            return
        if kind not in TEXT_CHUNKS:
            file.seek(size + CHECKSUM_BYTES, 1)
            continue
        num_texts += 1
        if size > MAX_TEXT_BYTES or num_texts > MAX_TEXTS:
            raise ValueError("too large")
        data = file.read(size)
        if len(data) < size:
            raise EOFError
        file.seek(CHECKSUM_BYTES, 1)
        yield kind, data


def _text(kind: bytes, data: bytes) -> tuple[str, str]:
    keyword, _, rest = data.partition(b"\0")
    name = keyword.decode("latin-1")
    if kind == b"tEXt":
        return name, rest.decode("latin-1")
    if kind == b"zTXt":
        return name, _unpacked(rest[1:]).decode("latin-1")
    is_packed, rest = rest[:1] == b"\1", rest[2:]
    text = rest.split(b"\0", 2)[-1]
    return name, (_unpacked(text) if is_packed else text).decode("utf-8")


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(data, MAX_TEXT_BYTES)
    if unpacker.unconsumed_tail:
        raise ValueError("too large")
    return text


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
    taken = {
        "prompt": prompt,
        "seed": _number(pairs.get("Seed")),
        "num_inference_steps": _number(pairs.get("Steps")),
        "guidance_scale": _number(pairs.get("CFG scale")),
    }
    unused = {
        "negative prompt": negative,
        "sampler": pairs.get("Sampler"),
        "model": pairs.get("Model"),
        "denoising strength": pairs.get("Denoising strength"),
    }
    return _foreign("a1111", taken, unused)


def _prompts(lines: list[str]) -> tuple[str, str]:
    """What stands before and after ``Negative prompt:``."""
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
