"""Content-addressed files: a name is the SHA-256 of the bytes, so it never changes its meaning.

A file is written under a temporary name, flushed to the disk and renamed; only then may a row
name it. Adding files with their rows, and removing files that no row names, exclude each other:
both happen inside ``guard()``.
"""

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from filelock import FileLock

from dyod_studio.disk import flush, put_in_place

PNG = ".png"
WEBP = ".webp"
SAFETENSORS = ".safetensors"

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is complete on disk."""

    sha256: str
    bytes: int
    path: Path


class FileStore:
    """Files under ``root``, as ``ab/<sha256><suffix>``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = FileLock(root / ".lock")

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Hold around "add the files, commit the rows"; it also excludes other processes.

        It may be nested. Take it before a transaction is opened, never within one.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        with self._lock:
            yield

    def path(self, sha256: str, suffix: str) -> Path:
        """Where such a file stands, whether it exists or not."""
        return self._root / sha256[:2] / f"{sha256}{suffix}"

    def add_bytes(self, data: bytes, suffix: str) -> StoredFile:
        """Store ``data``; the same bytes with the same suffix are kept once."""
        sha256 = hashlib.sha256(data).hexdigest()
        target = self.path(sha256, suffix)
        if not target.exists():
            with self._partial() as file:
                file.write(data)
                self._keep(file, target)
        return StoredFile(sha256, len(data), target)

    def add_file(self, source: Path, suffix: str | None = None) -> StoredFile:
        """Store a copy of ``source``; the suffix is its own in small letters unless given."""
        suffix = source.suffix.lower() if suffix is None else suffix
        digest, num_bytes = hashlib.sha256(), 0
        with source.open("rb") as original, self._partial() as file:
            while chunk := original.read(CHUNK_BYTES):
                digest.update(chunk)
                num_bytes += len(chunk)
                file.write(chunk)
            target = self.path(digest.hexdigest(), suffix)
            if not target.exists():
                self._keep(file, target)
        return StoredFile(digest.hexdigest(), num_bytes, target)

    def remove(self, sha256: str, suffix: str) -> None:
        """Remove a file that no row names; a missing one is no error."""
        self.path(sha256, suffix).unlink(missing_ok=True)

    @contextmanager
    def _partial(self) -> Iterator[IO[bytes]]:
        """An open file under a temporary name; removed again unless it was kept."""
        folder = self._root / "partial"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / uuid.uuid4().hex
        try:
            with path.open("xb") as file:
                yield file
        finally:
            path.unlink(missing_ok=True)

    def _keep(self, file: IO[bytes], target: Path) -> None:
        file.close()
        target.parent.mkdir(exist_ok=True)
        flush(Path(file.name))
        put_in_place(Path(file.name), target)
