"""What a command answers: one document for programs, one text for people."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from dyod_studio.studio.views import to_json


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of a command; ``exit_code`` is 0 unless the work itself failed."""

    document: Any
    text: str
    exit_code: int = 0

    def write(self, stream: TextIO, *, as_json: bool) -> None:
        """Write the document or the text, in characters that the stream can show."""
        text = json.dumps(to_json(self.document), indent=2) if as_json else self.text
        encoding = stream.encoding or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as their widest cell, left aligned, two spaces apart."""
    cells = [list(titles), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(titles))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join(lines)


def plural(count: int, noun: str) -> str:
    """``1 picture``, ``2 pictures``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
