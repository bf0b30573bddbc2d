"""Every picture file in folders, files and archives, one at a time, and why others are not.

Links are never followed, nothing but regular files is opened, and what an archive holds is written
under made-up names into ``work_dir`` alone.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from dyod_studio.datasets.archives import (
    ARCHIVE_SUFFIX,
    IS_LINK,
    NO_PICTURES,
    ArchiveLimits,
    Unpacker,
    is_junk,
    num_members,
)
from dyod_studio.datasets.caption_files import CaptionFiles, Read
from dyod_studio.datasets.images import HEAD_BYTES, NOT_AN_IMAGE, image_suffix
from dyod_studio.datasets.outcomes import FoundFile, Gathered, RejectedFile

__all__ = ["FoundFile", "Gathered", "RejectedFile", "count_files", "gather"]


def gather(
    paths: Sequence[Path], work_dir: Path, limits: ArchiveLimits | None = None
) -> Iterator[Gathered]:
    """Yield the picture files below ``paths`` in the order of their names, and what is not used.

    Folders are searched with everything in them; ZIP archives, also inside archives, are unpacked
    one file at a time, when it is asked for.

    Args:
        work_dir: an existing folder for what is unpacked; the caller deletes the files.

    Raises:
        OSError: the disk is full or broken.
    """
    unpacker = Unpacker(work_dir, limits or ArchiveLimits())
    loose = [path for path in paths if path.is_symlink() or not path.is_dir()]
    captions = CaptionFiles({printable(path.name): reader_of(path) for path in loose})
    yield from captions.problems
    for path in paths:
        name = printable(path.name or path.absolute().name)
        if path.is_dir() and not path.is_symlink():
            yield from _gather_folder(path, name, work_dir.resolve(), unpacker)
        elif not captions.is_caption(name):
            yield from _gather_file(path, name, unpacker, captions.of(name))


def reader_of(path: Path) -> Read:
    """Bytes of a regular file; nothing of what is none, or cannot be opened."""

    def read(most: int) -> bytes:
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                return b""
            with path.open("rb") as file:
                return file.read(most)
        except (PermissionError, FileNotFoundError, NotADirectoryError):
            return b""

    return read


def count_files(paths: Sequence[Path]) -> int:
    """Return about how many files ``gather`` will speak of, before any is read.

    An archive inside an archive counts as one file.
    """
    total = 0
    for path in paths:
        if path.is_symlink() or not path.is_dir():
            total += _num_files_in(path)
            continue
        for folder, inner, names in os.walk(path):
            inner[:] = [name for name in inner if not is_junk(name)]
            total += sum(_num_files_in(Path(folder, n)) for n in names if not is_junk(n))
    return total


def _num_files_in(path: Path) -> int:
    return num_members(path) if path.suffix.lower() == ARCHIVE_SUFFIX else 1


def _gather_folder(
    root: Path, root_name: str, work_dir: Path, unpacker: Unpacker
) -> Iterator[Gathered]:
    folders, captions_above = [(root, root_name)], dict[str, str]()
    num_found = 0
    while folders:
        folder, folder_name = folders.pop()
        try:
            entries = sorted(_entries(folder), key=lambda entry: entry.name)
        except (PermissionError, FileNotFoundError) as exc:
            yield RejectedFile(folder_name, f"cannot be opened ({exc.strerror})")
            continue
        inner = []
        captions = CaptionFiles(_readers(entries, folder_name), captions_above)
        yield from captions.problems
        for entry in entries:
            path, name = Path(entry.path), f"{folder_name}/{printable(entry.name)}"
            if entry.is_dir(follow_symlinks=False):
                inner.append((path, name))
                continue
            if captions.is_caption(name):
                continue
            for item in _gather_file(path, name, unpacker, captions.of(name)):
                num_found += isinstance(item, FoundFile)
                yield item
        folders.extend(pair for pair in reversed(inner) if pair[0].resolve() != work_dir)
    if num_found == 0:
        yield RejectedFile(root_name, NO_PICTURES)


def _readers(entries: Sequence[os.DirEntry[str]], folder_name: str) -> dict[str, Read]:
    """How each file of a folder is read, by its name."""
    return {
        f"{folder_name}/{printable(entry.name)}": reader_of(Path(entry.path))
        for entry in entries
        if not entry.is_dir(follow_symlinks=False)
    }


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not is_junk(entry.name)]


def _gather_file(
    path: Path, name: str, unpacker: Unpacker, caption: str = ""
) -> Iterator[Gathered]:
    try:
        reason, head = _look_at(path)
    except FileNotFoundError:
        reason, head = "does not exist", b""
    except (PermissionError, NotADirectoryError) as exc:
        reason, head = f"cannot be opened ({exc.strerror})", b""
    if reason is not None:
        yield RejectedFile(name, reason)
    elif image_suffix(head):
        yield FoundFile(path, name, caption=caption)
    elif path.suffix.lower() == ARCHIVE_SUFFIX:
        yield from unpacker.unpack(path, name)
    else:
        yield RejectedFile(name, NOT_AN_IMAGE)


def _look_at(path: Path) -> tuple[str | None, bytes]:
    """Why the file is not even opened, or else its first bytes."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return IS_LINK, b""
    if not stat.S_ISREG(mode):
        return "is a pipe or a device, not a file", b""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return (None if head else "is empty"), head


def printable(name: str) -> str:
    """The name of a file as text, also where its bytes are no valid text."""
    return os.fsencode(name).decode("utf-8", "replace")
