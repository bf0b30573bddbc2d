"""Captions that lie in files beside pictures, or inside the pictures themselves.

A text beside a picture (``shoe.txt``, ``shoe.caption``), a table of a folder (``metadata.jsonl``,
``metadata.csv`` with ``file_name`` and ``text``), or what an editor wrote into the picture (XMP and
IPTC descriptions, EXIF's ImageDescription), in this order.
"""

import codecs
import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from PIL import IptcImagePlugin
from PIL.ImageFile import ImageFile

from dyod_studio.datasets.outcomes import RejectedFile

TEXT_SUFFIXES = (".txt", ".caption")
TABLES = ("metadata.jsonl", "metadata.csv")
TAG_COUNTS = "tags.csv"
"""What the studio's own export counts; it says nothing of a single picture."""
NAME_KEYS, TEXT_KEYS = ("file_name", "image", "file"), ("text", "caption", "prompt", "description")
MAX_TEXT_BYTES = 1 << 16
MAX_TABLE_BYTES = 32 << 20
MAX_CAPTION_LENGTH = 500
"""Characters."""
CAMERA_SAYS = re.compile(
    r"(olympus|sony|minolta|konica|samsung|nikon|canon|kodak|digital|camera|dsc|dcim|pictures?|"
    r"default|exif|jpeg|image|untitled|screenshot|[\W\d_])+",
    re.IGNORECASE,
)
"""What cameras and programs write into every picture alike."""
EXIF_DESCRIPTION = 0x010E
IPTC_CAPTION = (2, 120)

Read = Callable[[int], bytes]
"""Return at most so many bytes of a file."""


class CaptionFiles:
    """Captions of one folder's or archive's pictures; ``problems`` says what was not read.

    Args:
        files: every file by its name, with forward slashes and the folders that it lies in.
        known: captions that folders above have told, by the pictures' names; more are added.
    """

    def __init__(self, files: Mapping[str, Read], known: dict[str, str] | None = None) -> None:
        self.problems: list[RejectedFile] = []
        self._captions = {} if known is None else known
        self._used: set[str] = set()
        stems = {_stem(name) for name in files if not name.lower().endswith(TEXT_SUFFIXES)}
        for name in files:
            if PurePosixPath(name).name.lower() in TABLES:
                self._read_table(name, files[name])
            elif PurePosixPath(name).name == TAG_COUNTS:
                self._used.add(name)
        for name in sorted(files):  # .txt comes later than .caption, and takes its place
            if name.lower().endswith(TEXT_SUFFIXES) and _stem(name) in stems:
                self._read_text(name, files[name])

    def is_caption(self, name: str) -> bool:
        """Whether the file was read as captions, and is no picture that fails."""
        return name in self._used

    def of(self, name: str) -> str:
        """The caption of a picture; empty when there is none."""
        return self._captions.get(_stem(name), "") or self._captions.get(name, "")

    def _read_text(self, name: str, read: Read) -> None:
        self._used.add(name)
        text = self._decoded(name, read, MAX_TEXT_BYTES)
        if caption := self._fitting(name, text):
            self._captions[_stem(name)] = caption

    def _read_table(self, name: str, read: Read) -> None:
        self._used.add(name)
        text = self._decoded(name, read, MAX_TABLE_BYTES)
        folder = PurePosixPath(name).parent
        rows = _json_rows(text) if name.lower().endswith("jsonl") else _csv_rows(text)
        for number, row in rows:
            file, caption = _first(row, NAME_KEYS), _first(row, TEXT_KEYS)
            if not file:
                reason = f"row {number} names no picture: it needs file_name and text"
                self.problems.append(RejectedFile(name, reason))
            elif fitting := self._fitting(f"{name}, row {number}", caption):
                self._captions[str(folder / file.replace("\\", "/"))] = fitting

    def _decoded(self, name: str, read: Read, most: int) -> str:
        data = read(most + 1)
        if len(data) > most:
            reason = f"is larger than the {most:,} bytes that are read of captions"
            self.problems.append(RejectedFile(name, reason))
            return ""
        return decoded(data)

    def _fitting(self, name: str, text: str) -> str:
        caption = " ".join(text.split())
        if len(caption) > MAX_CAPTION_LENGTH:
            reason = f"says {len(caption):,} characters; the first {MAX_CAPTION_LENGTH} are used"
            self.problems.append(RejectedFile(name, reason))
        return cut(caption)


def decoded(data: bytes) -> str:
    """Text of unknown encoding: UTF-8, UTF-16 where it says so, else that of old Windows."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def cut(text: str) -> str:
    """A caption of at most ``MAX_CAPTION_LENGTH`` characters, on one line."""
    return " ".join(text.split())[:MAX_CAPTION_LENGTH].rstrip()


def embedded_caption(image: ImageFile) -> str:
    """Caption in the picture's own XMP, IPTC or EXIF; empty when they say nothing.

    Args:
        image: as it was opened.
    """
    for found in (_xmp(image), _iptc(image), image.getexif().get(EXIF_DESCRIPTION)):
        text = decoded(found) if isinstance(found, bytes) else str(found or "")
        caption = cut(text.replace("\0", " "))
        if caption and not CAMERA_SAYS.fullmatch(caption):
            return caption
    return ""


def _xmp(image: ImageFile) -> str:
    """dc:description, in the language that comes first."""
    try:
        description = image.getxmp()["xmpmeta"]["RDF"]["Description"]
    except (KeyError, TypeError, ValueError, SyntaxError):  # there is none, or it is no XML
        return ""
    for part in description if isinstance(description, list) else [description]:
        found = part.get("description") if isinstance(part, dict) else None
        while isinstance(found, dict | list):
            if isinstance(found, list):
                found = found[0] if found else None
            else:
                found = found.get("Alt", found.get("li", found.get("text")))
        if found:
            return str(found)
    return ""


def _iptc(image: ImageFile) -> bytes | str:
    try:
        info = IptcImagePlugin.getiptcinfo(image)
    except (SyntaxError, ValueError, OSError, IndexError, AttributeError):
        return ""
    found = (info or {}).get(IPTC_CAPTION, "")
    return found[0] if isinstance(found, list) else found


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")) if PurePosixPath(name).name else name


def _json_rows(text: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = {}
        yield number, row if isinstance(row, dict) else {}


def _csv_rows(text: str) -> Iterable[tuple[int, Mapping[str, object]]]:
    return enumerate(csv.DictReader(text.splitlines()), start=2)


def _first(row: Mapping[str, object], keys: tuple[str, ...]) -> str:
    return next((str(row[key]) for key in keys if isinstance(row.get(key), str)), "")
