"""Each file of a project that comes in: what it really is, found out from the file itself."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image
from safetensors import SafetensorError, safe_open

from dyod_studio.datasets.fingerprints import perceptual_hash
from dyod_studio.datasets.images import (
    ANY_SIZE,
    HEAD_BYTES,
    Crop,
    centre_crop,
    image_suffix,
    read_image,
    thumbnail,
)
from dyod_studio.errors import InvalidInputError, RejectedImageError
from dyod_studio.services.exchange.project_archive import (
    ArtifactEntry,
    BookmarkEntry,
    ImageEntry,
    InputEntry,
    PictureEntry,
    ProjectArchive,
    ProjectIndex,
)
from dyod_studio.services.exchange.project_export import check_bookmarks
from dyod_studio.services.explore.service import MADE_PREFIX, SET_PREFIX
from dyod_studio.services.gallery.provenance import request_of

KIND = re.compile(r"[a-z][a-z0-9-]{0,39}")
MAX_PARAMETERS_LENGTH = 64_000
"""Characters of what one picture says of itself."""

OnProgress = Callable[[int, int], None]
"""Called with (files done, files in all)."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """A picture that can be read, unpacked at ``path``."""

    path: Path
    suffix: str
    width: int
    height: int
    thumbnail: bytes


@dataclass(frozen=True, slots=True)
class CheckedPicture:
    """A picture of the set with its place in it."""

    entry: PictureEntry
    image: CheckedImage
    phash: str
    crop: Crop


@dataclass(frozen=True, slots=True)
class CheckedPart:
    """A trained part; all but its age stands in its own header."""

    path: Path
    kind: str
    config: Mapping[str, Any]
    base_fingerprint: str
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class CheckedProject:
    """Everything that was found to be sound. ``images`` and inputs are named by their member."""

    index: ProjectIndex
    pictures: tuple[CheckedPicture, ...]
    parts: tuple[CheckedPart, ...]
    images: Mapping[str, CheckedImage]


def check_project(
    archive: ProjectArchive, folder: Path, on_progress: OnProgress | None
) -> CheckedProject:
    """Unpack everything that is listed into ``folder`` and look at each of it.

    Raises:
        InvalidInputError: the first thing that is wrong.
    """
    index = archive.index
    _check_requests(index)
    check_bookmarks(index.places, _brought(index).__contains__)
    tell = _Counting(on_progress, len(archive.members))
    pictures = tuple(_picture(archive, row, folder) for row in tell.each(index.pictures))
    parts = tuple(_part(archive, row, folder) for row in tell.each(index.artifacts))
    rows: list[InputEntry | ImageEntry | BookmarkEntry] = [*index.places]
    for request in index.requests:
        rows += [*request.inputs, *request.images]
    drawn = sorted({row.file for row in rows})
    images = {member: _image(archive, member, folder)[0] for member in tell.each(drawn)}
    _check_are_png(index, images)
    return CheckedProject(index, pictures, parts, images)


class _Counting:
    """Tells how many files are done."""

    def __init__(self, on_progress: OnProgress | None, total: int) -> None:
        self._on_progress, self._total, self._done = on_progress, total, 0

    def each(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            yield item
            self._done += 1
            if self._on_progress is not None:
                self._on_progress(min(self._done, self._total), self._total)


def _check_requests(index: ProjectIndex) -> None:
    for request in index.requests:
        request_of(request.parameters, request.kind)
        for image in request.images:
            request_of(image.parameters, request.kind)
            if len(json.dumps(image.parameters)) > MAX_PARAMETERS_LENGTH:
                raise InvalidInputError(f"{image.file} says too much of itself to be read.")


def _brought(index: ProjectIndex) -> set[str]:
    """The origins that the file brings along."""
    made = {image.sha256 for request in index.requests for image in request.images}
    ours = {picture.sha256 for picture in index.pictures}
    return {f"{MADE_PREFIX}{sha256}" for sha256 in made} | {f"{SET_PREFIX}{s}" for s in ours}


def _check_are_png(index: ProjectIndex, images: Mapping[str, CheckedImage]) -> None:
    drawn: list[BookmarkEntry | ImageEntry] = [*index.places]
    for request in index.requests:
        drawn += request.images
    for row in drawn:
        if images[row.file].suffix != ".png":
            raise InvalidInputError(f"{row.file} is no PNG, as generated pictures are.")


def _picture(archive: ProjectArchive, entry: PictureEntry, folder: Path) -> CheckedPicture:
    checked, image = _image(archive, entry.file, folder)
    crop = Crop(entry.crop.left, entry.crop.top, entry.crop.side)
    if crop.side > max(image.size) or not crop.fits(image.size):
        crop = centre_crop(image.size)
    return CheckedPicture(entry, checked, perceptual_hash(image), crop)


def _image(archive: ProjectArchive, member: str, folder: Path) -> tuple[CheckedImage, Image.Image]:
    path = archive.unpack(member, folder)
    try:
        image = read_image(path, limits=ANY_SIZE)
    except RejectedImageError as exc:
        raise InvalidInputError(f"{member} {exc}.".replace("..", ".")) from exc
    with path.open("rb") as file:
        suffix = image_suffix(file.read(HEAD_BYTES)) or path.suffix
    return CheckedImage(path, suffix, image.width, image.height, thumbnail(image)), image


def _part(archive: ProjectArchive, entry: ArtifactEntry, folder: Path) -> CheckedPart:
    path = archive.unpack(entry.file, folder)
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
        config = json.loads(header["dyod.config"])
        kind, fingerprint = header["dyod.format"], header["dyod.base_fingerprint"]
    except (SafetensorError, KeyError, ValueError, RecursionError) as exc:
        raise InvalidInputError(f"{entry.file} is no trained part of this studio.") from exc
    if not KIND.fullmatch(kind) or not isinstance(config, dict):
        raise InvalidInputError(f"{entry.file} is no trained part of this studio.")
    return CheckedPart(path, kind, config, fingerprint, entry.created_at)
