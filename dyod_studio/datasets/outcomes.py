"""Outcomes of a file that was dropped in."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that claims to be a picture.

    ``name`` is what the user knows it by. When ``is_temporary``, ``path`` was unpacked from an
    archive: whoever is done with it deletes it. ``caption`` lay beside it, or is empty.
    """

    path: Path
    name: str
    is_temporary: bool = False
    caption: str = ""


@dataclass(frozen=True, slots=True)
class RejectedFile:
    """A file that is not used, and why."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class DuplicateFile:
    """A file that repeats the earlier picture ``of``."""

    file: str
    of: str


Gathered = FoundFile | RejectedFile
