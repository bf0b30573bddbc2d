"""Start a page in a process of its own, as a person would, and end it again."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_S = 120
END_S = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(
    command: Sequence[str], port: int, log_path: Path, environment: Mapping[str, str]
) -> Iterator[str]:
    """The address of the page that ``python command`` serves, for as long as the block runs."""
    url = f"http://127.0.0.1:{port}/"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, "PYTHONFAULTHANDLER": "1", **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=hear_interrupts,
        )
    try:
        wait_until_served(url, process, log_path)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(END_S)


def hear_interrupts() -> None:
    """What was begun in the background of a shell would be deaf to the end of the block."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_until_served(url: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert answer.status == 200
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.3)
    raise AssertionError(f"The page was not served:\n{log_path.read_text(errors='replace')}")
