"""Files and folders that are there whole or not at all, and outlive a power cut."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def write_beside_and_rename(target: Path) -> Iterator[Path]:
    """A path beside ``target`` to write to; what is there at the block's end takes its place.

    When the block raises, the target is as it was and nothing is left beside it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield partial
        flush(partial)
        put_in_place(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def put_in_place(flushed: Path, target: Path) -> None:
    """Rename a file or a folder, so that the new name outlives a power cut too."""
    os.replace(flushed, target)
    _flush_folder(target.parent)


def flush(path: Path) -> None:
    """Have a file, or a folder with all below it, on the disk and not only in memory."""
    if path.is_dir():
        for inner in path.iterdir():
            flush(inner)
        _flush_folder(path)
        return
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Windows can neither open a folder nor needs it."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
