"""Processes by their identity: a pid alone may have passed to an innocent one.

The start time comes from the boot time plus clock ticks; corrections of the clock move it by
fractions of a second, a reused pid by far more.
"""

import logging
import os
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import psutil

from dyod_studio.jobs.devices import host_name
from dyod_studio.settings import Settings
from dyod_studio.store.records import ProcessIdentity

SAME_START_S = 2.0


def is_alive(identity: ProcessIdentity) -> bool:
    """Whether this very process of this machine still runs; a zombie does not."""
    return _find(identity) is not None


def identify(pid: int | None) -> ProcessIdentity | None:
    """The process that has this pid on this machine now, or None."""
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return ProcessIdentity(host_name(), pid, process.create_time())
    except psutil.NoSuchProcess:
        return None


@lru_cache
def this_process() -> ProcessIdentity:
    """The identity of the process that asks."""
    identity = identify(os.getpid())
    assert identity is not None  # it is this very process
    return identity


def log_to_stderr() -> None:
    """Write what the studio logs to standard error, as each of its long-lived processes does."""
    logging.basicConfig(format="%(asctime)s %(message)s")
    for name in ("dyod_studio", "__main__"):  # the latter is a module started with ``-m``
        logging.getLogger(name).setLevel(logging.INFO)


def end_process_tree(identity: ProcessIdentity, *, grace_s: float = 5.0) -> None:
    """End a process and all that it started: asked first, killed after ``grace_s``.

    Nothing happens when the process is gone or its pid belongs to another one now.
    """
    root = _find(identity)
    if root is None:
        return
    tree = [*_descendants(root), root]
    for process in tree:
        _tell(process.terminate)
    _, stubborn = psutil.wait_procs(tree, timeout=grace_s)
    for process in stubborn:
        _tell(process.kill)
    psutil.wait_procs(stubborn, timeout=grace_s)


def end_orphans(identity: ProcessIdentity) -> None:
    """Kill what a dead process left running in the session that it led.

    Nothing happens while any process has its pid: the session may be an innocent one's.
    """
    pid, started_at = identity.pid, identity.started_at
    if not hasattr(os, "getsid") or pid is None or started_at is None or psutil.pid_exists(pid):
        return
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError, PermissionError):
            is_later = process.create_time() >= started_at - SAME_START_S
            if os.getsid(process.pid) == pid and is_later:
                process.kill()


def _find(identity: ProcessIdentity) -> psutil.Process | None:
    found = identify(identity.pid)
    if found is None or found.started_at is None or identity.started_at is None:
        return None
    if abs(found.started_at - identity.started_at) > SAME_START_S:
        return None
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(identity.pid)
    return None


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _tell(signal: Callable[[], None]) -> None:
    with suppress(psutil.NoSuchProcess):
        signal()


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
