"""The figures of a run: one JSON line a step, appended and never changed."""

import json
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, TextIO

MAX_OPEN = 16
"""Runs whose losses a reader keeps; the one asked for longest ago goes first."""


class MetricsLog:
    """Appends to an open metrics file."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, values: dict[str, Any]) -> None:
        """One line, handed to the operating system at once, so a killed run keeps it."""
        self._file.write(json.dumps(values) + "\n")
        self._file.flush()


@contextmanager
def open_metrics(path: Path) -> Iterator[MetricsLog]:
    """Open for appending; what a kill left of a line is closed, and never read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        if not _ends_a_line(path):
            file.write("\n")
        yield MetricsLog(file)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Every whole line in the order of writing; a run that has none yet gives an empty list.

    A run that went on from a checkpoint has the steps after it twice.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    rows = [_parse(line) for line in lines if line]
    return [row for row in rows if row is not None]


def read_losses(path: Path) -> list[tuple[int, float]]:
    """(step, loss) of every finished step, once each: as it was made last."""
    losses = {row["step"]: row["loss"] for row in read_rows(path)}
    return sorted(losses.items())


class LossReader:
    """Reads metrics files that grow, each line once however often the losses are asked for."""

    def __init__(self) -> None:
        self._files: OrderedDict[Path, _Reading] = OrderedDict()
        self._lock = Lock()

    def read(self, path: Path) -> list[tuple[int, float]]:
        """Losses as :func:`read_losses` gives them."""
        with self._lock:
            known = self._files.setdefault(path, _Reading())
            self._files.move_to_end(path)
            if len(self._files) > MAX_OPEN:
                self._files.popitem(last=False)
            known.go_on(path)
            return sorted(known.losses.items())


@dataclass(slots=True)
class _Reading:
    """How far a file was read, in bytes, and what it said."""

    end: int = 0
    losses: dict[int, float] = field(default_factory=dict)

    def go_on(self, path: Path) -> None:
        if not path.exists() or path.stat().st_size < self.end:
            self.end, self.losses = 0, {}
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self.end)
            whole, newline, _ = file.read().rpartition(b"\n")
        self.end += len(whole) + len(newline)
        rows = map(_parse, whole.decode(errors="replace").split("\n"))
        self.losses |= {row["step"]: row["loss"] for row in rows if row is not None}


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return size == 0 or file.read() == b"\n"


def _parse(line: str) -> dict[str, Any] | None:
    """None for what a kill or a power cut left of a line."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return row if isinstance(row, dict) and {"step", "loss"} <= set(row) else None


class Pace:
    """The speed of a run, from the steps made so far."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def seconds_left(self, step: int, num_steps: int, now: float) -> float | None:
        """Seconds to the last step, or None before a second step was seen."""
        if self._first is None or step <= self._first[0]:
            self._first = (step, now)
            return None
        first_step, started = self._first
        return (now - started) / (step - first_step) * (num_steps - step)
