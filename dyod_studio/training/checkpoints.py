"""Checkpoints on disk: one folder each, complete or not there at all. No torch here.

``checkpoints/step_NNNNNN`` holds ``state.json``, the tensors that ``run_state`` writes, and
``previews/*.png``. A folder that is being written or dropped bears a suffix, so that no reader
takes it for a checkpoint.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from dyod_studio.disk import flush, put_in_place
from dyod_studio.errors import StorageFullError

KEPT_CHECKPOINTS = 2
"""The newest ones; the best by loss and those that were asked for stay besides."""
FULL = {errno.ENOSPC, errno.EDQUOT}
SAFETENSORS_MESSAGES = tuple(f"(os error {code})" for code in FULL)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A state that a run can go on from, or be finished from.

    Args:
        loss: mean of the steps before it. is_kept: somebody asked for it, so it is never dropped.
    """

    step: int
    loss: float
    path: Path
    previews: tuple[Path, ...]
    is_kept: bool
    saved_at: datetime


def list_checkpoints(run_dir: Path) -> list[Checkpoint]:
    """The complete checkpoints of a run, the oldest first, while it runs as well as afterwards."""
    folders = sorted((run_dir / "checkpoints").glob("step_" + "[0-9]" * 6))
    found = [_read(folder) for folder in folders]
    return [checkpoint for checkpoint in found if checkpoint is not None]


def best_checkpoint(checkpoints: Sequence[Checkpoint]) -> Checkpoint | None:
    """The one with the lowest loss, the latest of equals; None when there are none."""
    return min(checkpoints, key=lambda c: (c.loss, -c.step), default=None)


def read_state(folder: Path) -> dict[str, Any]:
    """Content of a checkpoint's ``state.json``."""
    values: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    return values


@contextmanager
def new_checkpoint(run_dir: Path, step: int) -> Iterator[tuple[Path, Path]]:
    """Yield (folder to fill, name it gets when the block has ended without an error).

    Raises:
        StorageFullError: the disk took no more; the folder is gone, older ones are as they were.
    """
    folder = run_dir / "checkpoints" / f"step_{step:06d}"
    partial = folder.with_suffix(".partial")
    try:
        with translate_full_disk(run_dir):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            yield partial, folder
            flush(partial)
            _drop(folder)
            put_in_place(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def drop_old_checkpoints(run_dir: Path) -> None:
    """Leave the newest, the best by loss, and those that were asked for."""
    for unfinished in (run_dir / "checkpoints").glob("*.dropped"):
        shutil.rmtree(unfinished, ignore_errors=True)
    checkpoints = list_checkpoints(run_dir)
    best = best_checkpoint(checkpoints)
    for old in checkpoints[:-KEPT_CHECKPOINTS]:
        if not old.is_kept and old != best:
            _drop(old.path)


@contextmanager
def translate_full_disk(folder: Path) -> Iterator[None]:
    """Turn the ways in which a full disk shows into one sentence.

    Raises:
        StorageFullError: the disk, or this user's share of it, is full.
    """
    try:
        yield
    except (OSError, SafetensorError) as exc:
        is_full = isinstance(exc, OSError) and exc.errno in FULL
        if not is_full and not any(part in str(exc) for part in SAFETENSORS_MESSAGES):
            raise
        raise StorageFullError(
            f"The disk is full: nothing more can be written to {folder}; make room, then go on "
            "from the last checkpoint."
        ) from exc


def _read(folder: Path) -> Checkpoint | None:
    """None when the folder was dropped in this moment."""
    try:
        state = read_state(folder)
    except FileNotFoundError:
        return None
    return Checkpoint(
        step=state["step"],
        loss=state["loss"],
        path=folder,
        previews=tuple(sorted((folder / "previews").glob("*.png"))),
        is_kept=state["is_kept"],
        saved_at=datetime.fromtimestamp(state["saved_at"], tz=UTC),
    )


def _drop(folder: Path) -> None:
    """Rename first: half a checkpoint never bears a checkpoint's name."""
    if folder.exists():
        dropped = folder.with_suffix(".dropped")
        shutil.rmtree(dropped, ignore_errors=True)
        os.replace(folder, dropped)
        shutil.rmtree(dropped)
