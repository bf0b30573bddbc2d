"""The command line of the studio, for scripts that measure the product as a person uses it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


class Commands:
    """Runs commands on one storage folder."""

    def __init__(self, storage: Path) -> None:
        self._storage = storage

    def run(self, *arguments: object) -> dict[str, Any]:
        """Run one command and return its JSON document; a failure ends the script."""
        done = self._call(arguments)
        if done.returncode:
            raise SystemExit(f"{arguments[0]} failed: {done.stdout}")
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def run_once(self, *arguments: object) -> None:
        """Run a command that is refused when it has been done before."""
        done = self._call(arguments)
        if done.returncode not in {0, 2}:
            raise SystemExit(f"{arguments[0]} failed: {done.stdout}")

    def _call(self, arguments: tuple[object, ...]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dyod_studio", "--storage", str(self._storage), "--json"]
        return subprocess.run(
            [*command, *map(str, arguments)], stdout=subprocess.PIPE, check=False, text=True
        )
