"""A project file from a stranger, unpacked one listed member at a time.

Only what ``project.json`` lists is unpacked, under made-up names, and only if its bytes are those
that are listed. What the archive says of itself is checked first, what comes out is counted.
"""

import hashlib
import json
import shutil
import struct
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated, Any, Literal
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.cropping import CropMode
from dyod_studio.requests.validation import sentence_of

FORMAT: Literal["dyod-project"] = "dyod-project"
VERSION: Literal[1] = 1
INDEX = "project.json"
MAX_INDEX_BYTES = 256_000_000
"""About 100,000 pictures with all that made them."""
MAX_ROWS = 200_000

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Member = Annotated[
    str, Field(pattern=r"^(pictures|artifacts|gallery|inputs|places)/[\w.-]{1,160}$")
]
Offset = Annotated[int, Field(ge=-100_000, le=100_000)]


class _Entry(BaseModel):
    """Unknown keys are passed over: a later release may say more."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class CropEntry(_Entry):
    """A square over the upright original, in its pixels; below 0 it is padded."""

    left: Offset
    top: Offset
    side: Annotated[int, Field(ge=1, le=100_000)]


class PictureEntry(_Entry):
    """A picture of the set, as it was given."""

    file: Member
    name: Annotated[str, Field(max_length=1000)]
    sha256: Sha256
    crop: CropEntry
    caption: Annotated[str | None, Field(max_length=100_000)] = None
    is_left_out: bool = False
    repeats_sha256: Sha256 | None = None
    sharpness: Annotated[float | None, Field(ge=0)] = None
    ground: Annotated[str | None, Field(max_length=40)] = None
    created_at: datetime | None = None


class ArtifactEntry(_Entry):
    """A trained part; its kind and settings stand in its own header."""

    file: Member
    sha256: Sha256
    created_at: datetime | None = None


class InputEntry(_Entry):
    """A file that a request began from."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    file: Member
    sha256: Sha256


class ImageEntry(_Entry):
    """A generated picture; ``parameters`` make it again."""

    file: Member
    sha256: Sha256
    position: Annotated[int, Field(ge=0, le=10_000)]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    parameters: dict[str, Any]
    is_favorite: bool = False
    created_at: datetime


class RequestEntry(_Entry):
    """A request and the images that it made."""

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
    parameters: dict[str, Any]
    num_steps: Annotated[int, Field(ge=0, le=10**9)] = 0
    created_at: datetime | None = None
    inputs: tuple[InputEntry, ...] = ()
    images: tuple[ImageEntry, ...] = ()


class BookmarkEntry(_Entry):
    """A saved place of a VAE; an origin in the project says the SHA-256 of its picture."""

    file: Member
    sha256: Sha256
    name: Annotated[str, Field(min_length=1, max_length=200)]
    vae_sha256: Sha256
    settings: dict[str, Any]
    created_at: datetime | None = None


class TraitEntry(_Entry):
    """Name of one coordinate of a VAE."""

    vae_sha256: Sha256
    rank: Annotated[int, Field(ge=0, le=100_000)]
    name: Annotated[str, Field(min_length=1, max_length=200)]


class ProjectIndex(_Entry):
    """The whole of ``project.json``."""

    format: Literal["dyod-project"]
    version: Literal[1]
    name: Annotated[str, Field(max_length=200)]
    token: Annotated[str, Field(max_length=100)]
    base: Annotated[str, Field(max_length=1000)]
    rights_confirmed_at: datetime | None = None
    crop_mode: CropMode = CropMode.CONTENT
    pictures: Annotated[tuple[PictureEntry, ...], Field(max_length=MAX_ROWS)] = ()
    artifacts: Annotated[tuple[ArtifactEntry, ...], Field(max_length=MAX_ROWS)] = ()
    requests: Annotated[tuple[RequestEntry, ...], Field(max_length=MAX_ROWS)] = ()
    places: Annotated[tuple[BookmarkEntry, ...], Field(max_length=MAX_ROWS)] = ()
    traits: Annotated[tuple[TraitEntry, ...], Field(max_length=MAX_ROWS)] = ()

    def members(self) -> dict[str, str]:
        """Name -> SHA-256 of every file that is listed."""
        rows: list[PictureEntry | ArtifactEntry | InputEntry | ImageEntry | BookmarkEntry]
        rows = [*self.pictures, *self.artifacts, *self.places]
        for request in self.requests:
            rows += [*request.inputs, *request.images]
        return {row.file: row.sha256 for row in rows}


CHUNK_BYTES = 1 << 20
END_BYTES = 1 << 16
"""How far from the end of a ZIP its table of contents is announced."""
MAX_DIRECTORY_BYTES = 64 << 20
MAX_RATIO = 1000
RATIO_FROM_BYTES = 10_000_000
ENCRYPTED = 0x1
_BROKEN = (BadZipFile, NotImplementedError, EOFError, ValueError, struct.error, zlib.error)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of what a project file may cost."""

    max_member_bytes: int = 20_000_000_000
    max_total_bytes: int = 500_000_000_000
    max_members: int = 2 * MAX_ROWS


class ProjectArchive:
    """An opened project file; use ``opened_project``."""

    def __init__(self, archive: ZipFile, name: str, limits: Limits) -> None:
        self._archive, self._name, self._limits = archive, name, limits
        self._infos = {info.filename: info for info in archive.infolist()}
        if len(archive.infolist()) > limits.max_members:
            raise InvalidInputError(f"{name} holds more files than any project does.")
        self.index = self._read_index()
        self.members = self.index.members()
        self._check_members()

    @property
    def total_bytes(self) -> int:
        """Of all that is listed, unpacked."""
        return sum(self._infos[name].file_size for name in self.members)

    def unpack(self, member: str, folder: Path) -> Path:
        """The member as a file of a made-up name in ``folder``, its bytes those that are listed.

        Raises:
            InvalidInputError: it is damaged, or other bytes than are listed.
        """
        info = self._infos[member]
        path = folder / uuid.uuid4().hex
        digest, left = hashlib.sha256(), info.file_size
        with (
            self._broken_as_reason(member),
            self._archive.open(info) as source,
            path.open("xb") as file,
        ):
            while chunk := source.read(CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise ValueError("more than is listed")
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != self.members[member]:
            raise InvalidInputError(
                f"{self._name} was changed or damaged: {member} is not what it was."
            )
        return path

    def _read_index(self) -> ProjectIndex:
        info = self._infos.get(INDEX)
        if info is None:
            raise InvalidInputError(
                f"{self._name} is no project of this studio: it has no {INDEX}."
            )
        self._check(info, MAX_INDEX_BYTES)
        with self._broken_as_reason(INDEX):
            content = json.loads(self._read(info))
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InvalidInputError(f"{self._name} is no project of this studio.")
        if content.get("version") != VERSION:
            raise InvalidInputError(
                f"{self._name} was written by another release (version "
                f"{str(content.get('version'))[:20]}); update the studio."
            )
        try:
            return ProjectIndex.model_validate(content)
        except ValidationError as exc:
            raise InvalidInputError(f"{self._name} cannot be imported: {sentence_of(exc)}") from exc

    def _read(self, info: ZipInfo) -> bytes:
        with self._archive.open(info) as source:
            data = source.read(info.file_size + 1)
        if len(data) > info.file_size:
            raise ValueError("more than is listed")
        return data

    def _check_members(self) -> None:
        for member in self.members:
            info = self._infos.get(member)
            if info is None:
                raise InvalidInputError(f"{self._name} is incomplete: it has no {member}.")
            self._check(info, self._limits.max_member_bytes)
        if self.total_bytes > self._limits.max_total_bytes:
            raise InvalidInputError(f"{self._name} unpacks to more than any project does.")

    def _check(self, info: ZipInfo, most: int) -> None:
        ratio = info.file_size / max(info.compress_size, 1)
        if info.file_size > RATIO_FROM_BYTES and ratio > MAX_RATIO:
            raise InvalidInputError(
                f"{self._name} is refused: {info.filename} unpacks to {ratio:,.0f} times its size."
            )
        if info.file_size > most:
            raise InvalidInputError(
                f"{self._name} is refused: {info.filename} unpacks to "
                f"{info.file_size / 1e6:,.0f} MB."
            )
        if info.flag_bits & ENCRYPTED or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise InvalidInputError(
                f"{self._name} is packed in a way this studio does not write: take the file as "
                "it was exported."
            )

    @contextmanager
    def _broken_as_reason(self, member: str) -> Iterator[None]:
        try:
            yield
        except (*_BROKEN, RecursionError) as exc:
            raise InvalidInputError(f"{self._name} is damaged at {member}.") from exc


@contextmanager
def opened_project(path: Path, limits: Limits | None = None) -> Iterator[ProjectArchive]:
    """Open a project file after checking all that can be seen without unpacking.

    Raises:
        InvalidInputError: no such file, no project, or refused; the sentence says why.
    """
    if not path.is_file():
        raise InvalidInputError(f"There is no file {str(path)!r}.")
    with path.open("rb") as file:
        try:
            _check_directory(file)
            archive = ZipFile(file)
        except (*_BROKEN, OSError) as exc:
            raise InvalidInputError(f"{path.name} is no readable ZIP archive.") from exc
        with archive:
            yield ProjectArchive(archive, path.name, limits or Limits())


def check_room(needed_bytes: int, folder: Path) -> None:
    """Raise InvalidInputError unless the disk has room for twice this, as files are copied."""
    free = shutil.disk_usage(folder).free
    if 2 * needed_bytes > free:
        raise InvalidInputError(
            f"The project needs {2 * needed_bytes / 1e9:.1f} GB on the disk while it is imported, "
            f"{free / 1e9:.1f} GB are free: make room first."
        )


def _check_directory(file: IO[bytes]) -> None:
    """Refuse a table of contents that would not fit into memory, before it is read."""
    size = file.seek(0, 2)
    file.seek(max(0, size - END_BYTES - 22))
    tail = file.read()
    place = tail.rfind(b"PK\5\6")
    if place < 0 or len(tail) < place + 22:
        raise BadZipFile("no end")
    directory = int.from_bytes(tail[place + 12 : place + 16], "little")
    wide = tail.rfind(b"PK\6\6", 0, place)
    if directory == 0xFFFFFFFF and wide >= 0:
        directory = int.from_bytes(tail[wide + 40 : wide + 48], "little")
    if directory > min(MAX_DIRECTORY_BYTES, size):
        raise BadZipFile("the table of contents is too large")
    file.seek(0)
