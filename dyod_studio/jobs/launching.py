"""Start the studio's own background processes, so that they outlive who started them."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from dyod_studio.settings import Settings

PACKAGE_PARENT = Path(__file__).parents[2]


def start_detached(
    command: Sequence[str], settings: Settings, log_path: Path
) -> subprocess.Popen[bytes]:
    """Start ``python -m`` something in a session of its own; what it prints goes to the log."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(settings),
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


def environment(settings: Settings) -> dict[str, str]:
    """This process's environment, changed so that ``Settings()`` reads the same settings."""
    values = settings.model_dump() | {
        "storage": settings.storage.resolve(),
        "database_url": settings.resolved_database_url,
    }
    own = {name: value for name, value in values.items() if name != "cuda_visible_devices"}
    known = {f"DYOD_{name.upper()}": str(value) for name, value in own.items() if value is not None}
    paths = [str(PACKAGE_PARENT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    known["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return {**os.environ, **known, "PYTHONUNBUFFERED": "1"}
