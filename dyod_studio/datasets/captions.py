"""Captions: what a picture shows, in words, or its cleaned file name if that says anything."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

CAMERA = re.compile(
    r"(img|dsc[fn]?|pict?|mvi|pxl|vid|gopr|p\d|dcim|image|images|photo|picture|scan|scanned|"
    r"screenshot|screen shot|untitled|unnamed|download|file|copy|whats|app|whatsapp|edited|final)",
    re.IGNORECASE,
)
"""What cameras, scanners and programs call every picture alike."""
NUMBERED = re.compile(r"[\s(\[]*\d+[)\]]*$")
"""A number at the end, which tells pictures of one name apart."""
CODE = re.compile(r"[0-9a-f]{4,}|u\+?[0-9a-f]{4,}", re.IGNORECASE)


def caption_of(caption: str | None, name: str) -> str:
    """The caption that a person gave, or what the file's name says; empty when neither does.

    Args:
        name: of the file, with the folders that it lay in.
    """
    return caption or caption_of_name(name)


def caption_of_name(name: str) -> str:
    """``shoes/Red_boot-02.png`` says "red boot"; ``IMG_2034.JPG``, ``1f600.png`` say nothing."""
    stem = PurePosixPath(name.replace("\\", "/")).stem
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem)
    text = " ".join(re.sub(r"[_\-.+~,;]+", " ", spaced).split()).lower()
    while (shorter := NUMBERED.sub("", text)) != text:
        text = shorter
    words = [w for w in text.split() if not (CODE.fullmatch(w) and any(c.isdigit() for c in w))]
    return " ".join(words) if any(map(_tells, words)) else ""


def tag_frequency(captions: Iterable[str]) -> dict[str, int]:
    """How many captions hold each tag, the most frequent first; tags are parted by commas."""
    tags = (dict.fromkeys(" ".join(tag.split()) for tag in text.split(",")) for text in captions)
    counts = Counter(tag for row in tags for tag in row if tag)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _tells(word: str) -> bool:
    """Whether a word can be the name of something."""
    letters = sum(character.isalpha() for character in word)
    return (letters > 2 or not word.isascii()) and not CAMERA.fullmatch(word)
