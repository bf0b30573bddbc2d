"""What is kept of a training's log beside the weights: enough for the card, and to go on from."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

RECORD_NAME = "training.jsonl"
"""In a finished model's folder."""
POINTS = 12
"""Rows that are kept of each stage."""

LogRow = dict[str, Any]


def read_rows_of(path: Path) -> list[LogRow]:
    """The rows of a log or a record."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def last_rows(rows: Iterable[LogRow]) -> list[LogRow]:
    """The last row of each stage, in the order of training."""
    last: dict[str, LogRow] = {}
    for row in rows:
        last[str(row["stage"])] = row
    return list(last.values())


def condense(rows: Sequence[LogRow], points: int = POINTS) -> list[LogRow]:
    """At most about ``points`` rows of each stage, each with the mean loss since the one before."""
    kept = []
    for stage in dict.fromkeys(row["stage"] for row in rows):
        own = [row for row in rows if row["stage"] == stage]
        size = -(-len(own) // points)
        for start in range(0, len(own), size):
            part = own[start : start + size]
            mean = sum(float(row["loss"]) for row in part) / len(part)
            kept.append({**part[-1], "loss": round(mean, 4)})
    return kept


def write_record(rows: Sequence[LogRow], out: Path) -> list[LogRow]:
    """Write the condensed rows beside the weights; returns them."""
    kept = condense(rows)
    (out / RECORD_NAME).write_text("".join(json.dumps(row) + "\n" for row in kept))
    return kept
