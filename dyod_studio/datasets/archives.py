"""ZIP archives from strangers, unpacked one member at a time.

A member's name is never used as a path. Whatever an archive says of itself is checked before
anything is unpacked, and the bytes that really come out are counted all the same.
"""

import errno
import io
import re
import stat
import struct
import sys
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from dyod_studio.datasets.caption_files import CaptionFiles, Read
from dyod_studio.datasets.images import NOT_AN_IMAGE, image_suffix
from dyod_studio.datasets.outcomes import FoundFile, Gathered, RejectedFile
from dyod_studio.errors import RejectedImageError

ARCHIVE_SUFFIX = ".zip"
NO_PICTURES = "holds no pictures"
NOT_AN_ARCHIVE = "is not a readable ZIP archive"
IS_LINK = "is a symbolic link; add the file it points to instead"
JUNK_NAMES = {"thumbs.db", "desktop.ini", "__macosx"}
"""Left behind by operating systems; so are names that begin with a dot."""

CHUNK_BYTES = 1 << 16
MAX_DIRECTORY_BYTES = 16 << 20
"""Of an archive's table of contents, which is read into memory: about 150,000 names."""
UTF8_NAME, ENCRYPTED = 0x800, 0x1


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Limits of what an archive may cost."""

    max_member_bytes: int = 200_000_000
    """Of one file, unpacked."""
    max_total_bytes: int = 100_000_000_000
    """Of all files together, unpacked one after the other."""
    max_ratio: int = 500
    """Unpacked to packed size of a file above 10 MB; photographs reach 2, blank bitmaps 1000."""
    ratio_from_bytes: int = 10_000_000
    max_files: int = 100_000
    max_depth: int = 3
    """Archives within archives."""


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is nobody's picture and worth no word."""
    return (name.startswith(".") and name != "..") or name.lower() in JUNK_NAMES


def num_members(path: Path) -> int:
    """Return how many files an archive lists; 1 for one that cannot be read."""
    with (
        suppress(RejectedImageError, OSError),  # whoever unpacks it says what is wrong
        _opened(path, max_files=sys.maxsize) as archive,
    ):
        names = (PurePosixPath(_inner_name(i)) for i in archive.infolist() if not i.is_dir())
        return sum(not any(map(is_junk, name.parts)) for name in names)
    return 1


class Unpacker:
    """Unpacks archives into ``work_dir``, with one budget of bytes for all of them."""

    def __init__(self, work_dir: Path, limits: ArchiveLimits) -> None:
        self._work_dir = work_dir
        self._limits = limits
        self._bytes_left = limits.max_total_bytes

    def unpack(self, path: Path, name: str, depth: int = 1) -> Iterator[Gathered]:
        """Yield the pictures of a ZIP archive as temporary files, and what is not used.

        Args:
            name: what the user knows the archive by.
            depth: 1 for an archive on disk, 2 for one inside it.
        """
        num_found = 0
        try:
            with _opened(path, self._limits.max_files) as archive:
                captions = CaptionFiles(_readers(archive, name))
                yield from captions.problems
                for info in sorted(archive.infolist(), key=_inner_name):
                    if captions.is_caption(f"{name}/{_inner_name(info)}"):
                        continue
                    for item in self._unpack_member(archive, info, name, depth, captions):
                        num_found += isinstance(item, FoundFile)
                        yield item
        except RejectedImageError as exc:
            yield RejectedFile(name, str(exc))
            return
        if num_found == 0:
            yield RejectedFile(name, NO_PICTURES)

    def _unpack_member(
        self,
        archive: ZipFile,
        info: ZipInfo,
        archive_name: str,
        depth: int,
        captions: CaptionFiles,
    ) -> Iterator[Gathered]:
        inner_name = _inner_name(info)
        if info.is_dir() or any(map(is_junk, PurePosixPath(inner_name).parts)):
            return
        name = f"{archive_name}/{inner_name}"
        try:
            _check_name(inner_name)
            self._check_member(info)
            path = self._write(archive, info, inner_name, depth)
        except RejectedImageError as exc:
            yield RejectedFile(name, str(exc))
            return
        if path.suffix != ARCHIVE_SUFFIX:
            yield FoundFile(path, name, is_temporary=True, caption=captions.of(name))
            return
        try:
            yield from self.unpack(path, name, depth + 1)
        finally:
            path.unlink()

    def _check_member(self, info: ZipInfo) -> None:
        if stat.S_ISLNK(info.external_attr >> 16):
            raise RejectedImageError(IS_LINK)
        if info.flag_bits & ENCRYPTED:
            raise RejectedImageError("is encrypted; unpack it with its password first")
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise RejectedImageError("is packed with a method other than the usual one of ZIP")
        most = self._limits.max_member_bytes
        if info.file_size > most:
            raise RejectedImageError(
                f"unpacks to {info.file_size / 1e6:,.0f} MB; at most {most / 1e6:,.0f} MB are read"
            )
        ratio = info.file_size / max(info.compress_size, 1)
        if info.file_size > self._limits.ratio_from_bytes and ratio > self._limits.max_ratio:
            raise RejectedImageError(
                f"unpacks to {ratio:,.0f} times its size, as no picture does; it is left packed"
            )

    def _write(self, archive: ZipFile, info: ZipInfo, inner_name: str, depth: int) -> Path:
        """Write the member to a file with a made-up name, if it is a picture or an archive."""
        chunks = _chunks(archive, info)
        first = next(chunks, b"")
        path = self._work_dir / f"{uuid.uuid4().hex}{self._suffix(first, inner_name, depth)}"
        try:
            with path.open("xb") as file:
                for chunk in chain([first], chunks):
                    self._bytes_left -= len(chunk)
                    if self._bytes_left < 0:
                        raise RejectedImageError("is left packed: the archives hold too much data")
                    file.write(chunk)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def _suffix(self, first: bytes, inner_name: str, depth: int) -> str:
        if suffix := image_suffix(first):
            return suffix
        if not inner_name.lower().endswith(ARCHIVE_SUFFIX):
            raise RejectedImageError(NOT_AN_IMAGE if first else "is empty")
        if depth >= self._limits.max_depth:
            raise RejectedImageError(
                f"is an archive inside {depth} others; unpack it by hand if it holds pictures"
            )
        return ARCHIVE_SUFFIX


class _BoundedReader(io.BufferedReader):
    """A file that refuses to be read in huge pieces, as an endless table of contents would be."""

    def read(self, size: int | None = -1, /) -> bytes:
        most = MAX_DIRECTORY_BYTES + 1
        data = super().read(most if size is None or size < 0 else min(size, most))
        if len(data) > MAX_DIRECTORY_BYTES:
            raise BadZipFile("The table of contents is too large.")
        return data


@contextmanager
def _opened(path: Path, max_files: int) -> Iterator[ZipFile]:
    with _BoundedReader(io.FileIO(path)) as file:
        with _damage_as_reason(NOT_AN_ARCHIVE):
            archive = ZipFile(file)
        with archive:
            if len(archive.infolist()) > max_files:
                raise RejectedImageError(
                    f"holds {len(archive.infolist()):,} files; at most {max_files:,} are read"
                )
            yield archive


def _readers(archive: ZipFile, archive_name: str) -> dict[str, Read]:
    """How each member is read, by its name; nothing of one that is encrypted or damaged."""

    def reader_of(info: ZipInfo) -> Read:
        def read(most: int) -> bytes:
            if info.flag_bits & ENCRYPTED or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                return b""
            try:
                with _damage_as_reason("is damaged in the archive"), archive.open(info) as source:
                    return source.read(most)
            except RejectedImageError:  # the picture beside it comes without a caption
                return b""

        return read

    files = (info for info in archive.infolist() if not info.is_dir())
    return {f"{archive_name}/{_inner_name(info)}": reader_of(info) for info in files}


def _chunks(archive: ZipFile, info: ZipInfo) -> Iterator[bytes]:
    with _damage_as_reason("is damaged in the archive"), archive.open(info) as source:
        while chunk := source.read(CHUNK_BYTES):
            yield chunk


@contextmanager
def _damage_as_reason(reason: str) -> Iterator[None]:
    """Turn what zipfile raises on broken archives into a reason; a disk's errors go through."""
    try:
        yield
    except OSError as exc:
        if exc.errno is not None and exc.errno != errno.EINVAL:  # EINVAL: an offset before the file
            raise
        raise RejectedImageError(reason) from exc
    except (BadZipFile, NotImplementedError, EOFError, ValueError, struct.error, zlib.error) as exc:
        raise RejectedImageError(reason) from exc


def _inner_name(info: ZipInfo) -> str:
    """The member's name with forward slashes, its UTF-8 mended where the archive hides it."""
    name = info.filename
    if not info.flag_bits & UTF8_NAME:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _check_name(inner_name: str) -> None:
    path = PurePosixPath(inner_name)
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", inner_name):
        raise RejectedImageError(f"would leave the archive ({inner_name})")
