"""The end of a run's log, as the job's row and the page show it."""

import os
from pathlib import Path

NUM_LINES = 40
MAX_BYTES = 32_768
MAX_LINE_CHARACTERS = 400


def read_tail(path: Path) -> str:
    """The last 40 lines; a bar that was redrawn in place counts as its newest state."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, os.path.getsize(path) - MAX_BYTES))
        text = file.read().decode("utf-8", errors="replace")
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n")]
    shown = [line[:MAX_LINE_CHARACTERS] for line in lines if line.strip()]
    return "\n".join(shown[-NUM_LINES:])
