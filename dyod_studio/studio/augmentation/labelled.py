"""A labelled set: pictures in the folders of their classes."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dyod_studio.datasets.archives import is_junk
from dyod_studio.datasets.reading import HEAD_BYTES, image_suffix, read_image
from dyod_studio.datasets.sources import printable
from dyod_studio.errors import InvalidInputError, RejectedImageError
from dyod_studio.store.tables import Picture


@dataclass(frozen=True, slots=True)
class Source:
    """One picture of a class; ``name`` is what the user knows it by."""

    name: str
    path: Path
    sha256: str


Classes = Mapping[str, Sequence[Source]]
"""Pictures by class, both in alphabetical order."""


def classes_in(folder: Path) -> Classes:
    """The classes of a folder: one for each folder in it, with all pictures below.

    Raises:
        InvalidInputError: there is no such folder, or none in it, or one without a picture.
    """
    if not folder.is_dir():
        raise InvalidInputError(f"There is no folder {str(folder)!r}.")
    entries = sorted(e for e in folder.iterdir() if e.is_dir() and not is_junk(e.name))
    found = {printable(entry.name): tuple(_sources(folder, entry)) for entry in entries}
    if not found:
        raise InvalidInputError(
            f"{str(folder)!r} holds no folders: put the pictures of each class into one of its own."
        )
    for name, sources in found.items():
        if not sources:
            raise InvalidInputError(
                f"The folder of class {name!r} holds no pictures: add some, or remove it."
            )
    return found


def classes_of(pictures: Iterable[tuple[Picture, Path]]) -> Classes:
    """The classes of a project's pictures: the last folder that each came from.

    Raises:
        InvalidInputError: a picture came from no folder.
    """
    found: dict[str, list[Source]] = {}
    for picture, path in pictures:
        parents = PurePosixPath(picture.name).parts[:-1]
        if not parents:
            raise InvalidInputError(
                f"The project's picture {picture.name!r} came from no folder, so it has no class: "
                "name a folder with --data whose folders are the classes."
            )
        found.setdefault(parents[-1], []).append(Source(picture.name, path, picture.sha256))
    if not found:
        raise InvalidInputError("The project has no pictures: add some, or name a folder.")
    return {name: tuple(sorted(found[name], key=lambda s: s.name)) for name in sorted(found)}


def unusable(sources: Iterable[Source]) -> Iterator[tuple[str, str]]:
    """(name, reason) of each picture that cannot be read."""
    for source in sources:
        try:
            read_image(source.path)
        except RejectedImageError as exc:
            yield source.name, str(exc)


def digest_of(sources: Sequence[Source]) -> str:
    """A hash that changes with any name or content."""
    told = "\n".join(f"{source.sha256} {source.name}" for source in sources)
    return hashlib.sha256(told.encode()).hexdigest()


def _sources(root: Path, folder: Path) -> Iterator[Source]:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        relative = path.relative_to(root)
        if any(is_junk(part) for part in relative.parts):
            continue
        with path.open("rb") as file:
            if image_suffix(file.read(HEAD_BYTES)) is None:
                continue
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        yield Source(printable(relative.as_posix()), path, sha256)
