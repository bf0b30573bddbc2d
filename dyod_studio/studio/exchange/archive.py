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
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from pydantic import ValidationError

from dyod_studio.errors import InvalidInputError
from dyod_studio.studio.exchange.project_file import (
    FORMAT,
    INDEX,
    MAX_INDEX_BYTES,
    MAX_ROWS,
    VERSION,
    ProjectIndex,
)

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
    """What a project file may cost."""

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
            first = exc.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise InvalidInputError(
                f"{self._name} cannot be imported: {place}: {first['msg']}."
            ) from exc

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
