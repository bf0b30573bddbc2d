"""The folder that an augmentation fills: pictures by class, a manifest, and what it was begun with.

A picture is whole before the manifest names it; the manifest grows by whole lines in the order of
the plan, so a folder whose filling was broken off is the beginning of the finished one.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dyod_studio.disk import write_beside_and_rename
from dyod_studio.errors import InvalidInputError

MANIFEST, SETTINGS = "manifest.jsonl", "augmentation.json"
Row = dict[str, Any]


class AugmentFolder:
    """Reads what is there, and adds to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._rows = self._whole_rows()

    def settings(self) -> dict[str, Any] | None:
        """Settings that it was begun with; None for a new one.

        Raises:
            InvalidInputError: it holds something else.
        """
        path = self.root / SETTINGS
        if not path.exists():
            if self.root.exists() and (not self.root.is_dir() or any(self.root.iterdir())):
                raise InvalidInputError(
                    f"{str(self.root)!r} holds other files: give a new folder, or an empty one."
                )
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as exc:
            raise InvalidInputError(f"{str(path)!r} cannot be read: {exc}.") from exc
        if not isinstance(found, dict):
            raise InvalidInputError(f"{str(path)!r} does not hold a JSON object.")
        return found

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Note what it is begun with, and drop from the manifest what is not there any more."""
        text = json.dumps(settings, indent=1, sort_keys=True) + "\n"
        self._write(self.root / SETTINGS, text.encode())
        self._rows = {name: row for name, row in self._rows.items() if (self.root / name).is_file()}
        lines = "".join(_line(row) for row in self._rows.values())
        self._write(self.root / MANIFEST, lines.encode())

    def has(self, name: str) -> bool:
        """Whether the picture of this name is finished."""
        return name in self._rows

    def row(self, name: str) -> Row:
        return self._rows[name]

    def add(self, name: str, png: bytes, row: Mapping[str, Any]) -> None:
        """Write a picture, then its line.

        Raises:
            InvalidInputError: the disk took no more, or the folder cannot be written.
        """
        full = {"picture": name, **row, "sha256": hashlib.sha256(png).hexdigest()}
        self._write(self.root / name, png)
        with (self.root / MANIFEST).open("ab") as file:
            file.write(_line(full).encode())
            file.flush()
            os.fsync(file.fileno())
        self._rows[name] = full

    def _whole_rows(self) -> dict[str, Row]:
        """The manifest's rows by the pictures' names; a line that was cut off is left aside."""
        path = self.root / MANIFEST
        if not path.is_file():
            return {}
        rows: dict[str, Row] = {}
        for line in path.read_bytes().split(b"\n")[:-1]:
            try:
                row = json.loads(line)
                rows[row["picture"]] = row
            except (ValueError, KeyError, TypeError) as exc:
                raise InvalidInputError(f"{str(path)!r} is damaged: give a new folder.") from exc
        return rows

    def _write(self, target: Path, content: bytes) -> None:
        try:
            with write_beside_and_rename(target) as partial:
                partial.write_bytes(content)
        except OSError as exc:
            raise InvalidInputError(f"{target} cannot be written: {exc.strerror}.") from exc


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n"
