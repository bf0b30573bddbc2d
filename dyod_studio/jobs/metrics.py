"""The figures of a run: one JSON line a step, appended and never changed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


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
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        yield MetricsLog(file)


def read_losses(path: Path) -> list[tuple[int, float]]:
    """(step, loss) of every finished line; a run that has none yet gives an empty list."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    rows = [json.loads(line) for line in lines if line]
    return [(row["step"], row["loss"]) for row in rows]
