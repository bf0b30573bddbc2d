"""Keep a worker beside the page: when it dies, another takes its place."""

import logging
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dyod_studio.jobs.worker import start_worker
from dyod_studio.settings import Settings

LOOK_EVERY_S = 2.0

log = logging.getLogger(__name__)


@contextmanager
def worker_kept(
    settings: Settings,
    start: Callable[[Settings], subprocess.Popen[bytes]] = start_worker,
    look_every_s: float = LOOK_EVERY_S,
) -> Iterator[None]:
    """A worker serves as long as the block lasts, and longer while work is left.

    It ends by itself when this process is gone and nothing is queued.
    """
    rest = threading.Event()
    keeper = Keeper(settings, start)
    thread = threading.Thread(target=keeper.keep_until, args=(rest, look_every_s), daemon=True)
    thread.start()
    try:
        yield
    finally:
        rest.set()
        thread.join()


class Keeper:
    """Starts a worker, and another one when it has died."""

    def __init__(
        self, settings: Settings, start: Callable[[Settings], subprocess.Popen[bytes]]
    ) -> None:
        self._settings, self._start = settings, start
        self._worker: subprocess.Popen[bytes] | None = None

    def keep_until(self, rest: threading.Event, look_every_s: float) -> None:
        """Look at this pace; a worker that could not be started is tried again."""
        while True:
            if self._worker is None or self._worker.poll() is not None:
                try:
                    self._worker = self._start(self._settings)
                except OSError as exc:
                    log.warning("No worker could be started: %s", exc)
            if rest.wait(look_every_s):
                return
