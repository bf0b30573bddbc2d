"""The captions of a set: all of them at a glance, changed one by one or all at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from dyod_studio.datasets.caption_files import MAX_CAPTION_LENGTH
from dyod_studio.datasets.captions import caption_of, tag_frequency
from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.store.database import Session
from dyod_studio.store.projects import PictureRepository, ProjectRepository
from dyod_studio.store.records import Picture
from dyod_studio.store.storage import Storage

Edit = Literal["replace", "before", "after", "remove", "clear"]
"""One change to every caption: a word by another, words put before or after, a word taken out, or
back to what the file's name says."""


@dataclass(frozen=True, slots=True)
class CaptionView:
    """A picture's caption; ``is_own`` is False where its file's name speaks for it."""

    picture_id: int
    name: str
    caption: str
    is_own: bool


@dataclass(frozen=True, slots=True)
class CaptionsView:
    """The captions of a set, and how many pictures bear each tag, the most frequent first."""

    lines: tuple[CaptionView, ...]
    tags: Mapping[str, int]


class Captions:
    """Captions of a project's set; what is left out keeps its own."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def all(self, ref: int | str) -> CaptionsView:
        """The caption of each picture, in the order of the set."""
        with self._storage.database.session() as session:
            lines = tuple(_view(row) for row in _rows(session, ref))
        return CaptionsView(lines, tag_frequency([line.caption for line in lines]))

    def write(self, ref: int | str, texts: Mapping[int, str]) -> int:
        """Keep these captions by the pictures' ids, all or none; returns how many are new.

        Empty gives the word back to the file's name; so does what the name says already.

        Raises:
            InvalidInputError: one of them is too long.
            NotFoundError: the project's set has no such picture.
        """
        with self._storage.database.session() as session:
            rows = {row.id: row for row in _rows(session, ref)}
            if missing := set(texts) - set(rows):
                raise NotFoundError(f"The set has no picture {min(missing)}.")
            captions = {number: _fitting(rows[number], text) for number, text in texts.items()}
            return _keep(session, rows, captions)

    def edit(self, ref: int | str, edit: Edit, words: str = "", by: str = "") -> int:
        """Change all captions at once, all or none; returns how many are new.

        A picture without a caption of its own gets one, from what its file's name says.

        Args:
            words: what is replaced, removed, or put before or after. by: what replaces it.

        Raises:
            InvalidInputError: the edit is unknown or has no words, or a caption would be too long.
        """
        words, by = " ".join(words.split()), " ".join(by.split())
        if edit not in get_args(Edit):
            raise InvalidInputError(f"edit must be one of {', '.join(get_args(Edit))}: {edit!r}.")
        if not words and edit != "clear":
            raise InvalidInputError("There are no words: type what is to be changed in all.")
        with self._storage.database.session() as session:
            rows = {row.id: row for row in _rows(session, ref)}
            captions = {
                row.id: _fitting(row, edited(caption_of(row.caption, row.name), edit, words, by))
                for row in rows.values()
            }
            return _keep(session, rows, captions)


def edited(caption: str, edit: Edit, words: str, by: str = "") -> str:
    """One caption after an edit; whole words are meant, in either case."""
    if edit == "clear":
        return ""
    if edit == "before":
        return f"{words} {caption}".rstrip()
    if edit == "after":
        return f"{caption} {words}".lstrip()
    found = re.compile(rf"(?<!\w){re.escape(words)}(?!\w)", re.IGNORECASE)
    changed = found.sub(lambda _: by if edit == "replace" else "", caption)
    tags = [" ".join(tag.split()) for tag in changed.split(",")]
    return ", ".join(tag for tag in tags if tag) if changed != caption else caption


def _rows(session: Session, ref: int | str) -> Sequence[Picture]:
    return PictureRepository(session).all(ProjectRepository(session).find(ref).id)


def _view(row: Picture) -> CaptionView:
    return CaptionView(row.id, row.name, caption_of(row.caption, row.name), bool(row.caption))


def _fitting(row: Picture, text: str) -> str:
    caption = " ".join(text.split())
    if len(caption) > MAX_CAPTION_LENGTH:
        raise InvalidInputError(
            f"A caption has up to {MAX_CAPTION_LENGTH} characters; that of {row.name} would have "
            f"{len(caption)}. Nothing was changed."
        )
    return caption


def _keep(session: Session, rows: Mapping[int, Picture], captions: Mapping[int, str]) -> int:
    """Write what is new; what a file's name says by itself is no caption of its own."""
    pictures, count = PictureRepository(session), 0
    for number, text in captions.items():
        row = rows[number]
        caption = text if text and text != caption_of(None, row.name) else None
        if caption != row.caption:
            pictures.change(number, caption=caption)
            count += 1
    return count
