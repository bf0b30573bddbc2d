"""The worker: claims jobs and runs each in a process of its own, which outlives it.

The row is the truth. The child beats its own heart, writes its progress and its end; the worker
ends a child that does not obey, and says what became of one that can no longer say it itself. Any
number of workers serve one database, on one machine or on several: a device runs one job at a
time, and whoever notices that a job is dead puts it back.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dyod_studio.jobs.devices import device_key, host_name
from dyod_studio.jobs.processes import identify, is_alive, log_to_stderr, start_detached
from dyod_studio.jobs.supervisor import Supervisor, Timing
from dyod_studio.settings import Settings
from dyod_studio.store.database import retry_until_written
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.records import Job
from dyod_studio.store.storage import Storage, open_storage

CHILD_COMMAND = (sys.executable, "-m", "dyod_studio.jobs.child")
"""What runs a job; its number is appended."""


def run_worker(
    settings: Settings,
    *,
    once: bool = False,
    drain: bool = False,
    parent_pid: int | None = None,
    child_command: Sequence[str] = CHILD_COMMAND,
    timing: Timing | None = None,
) -> int:
    """Serve the queue; returns how many jobs were run to their end, or paused.

    Args:
        once: end after one job, or when there is none.
        drain: end when nothing is queued and nothing runs on this machine.
        parent_pid: the process on whose behalf this one serves: drain when it is gone.
    """
    parent = None if parent_pid is None else Parent(parent_pid)

    def may_end() -> bool:
        return once or drain or (parent is not None and parent.is_gone())

    with open_storage(settings.storage, settings.resolved_database_url, migrate=True) as storage:
        worker = Worker(storage, settings, child_command, timing or Timing())
        return worker.serve(may_end, max_jobs=1 if once else None)


def start_worker(settings: Settings) -> subprocess.Popen[bytes]:
    """Start a worker process that serves as long as this process lives and work is left.

    Keep what is returned; it need not be waited for.
    """
    command = [sys.executable, "-m", "dyod_studio.jobs.worker", str(os.getpid())]
    return start_detached(command, settings, settings.storage / "worker.log")


def main() -> None:
    """The entry of the process that :func:`start_worker` starts."""
    log_to_stderr()
    run_worker(Settings(), parent_pid=int(sys.argv[1]))


class Parent:
    """The process that a worker serves for; one that is gone at the start never was."""

    def __init__(self, pid: int) -> None:
        self._identity = identify(pid)

    def is_gone(self) -> bool:
        return self._identity is None or not is_alive(self._identity)


class Worker:
    """Runs one job after the other on the device of the settings."""

    def __init__(
        self, storage: Storage, settings: Settings, child_command: Sequence[str], timing: Timing
    ) -> None:
        self._storage, self._settings, self._command = storage, settings, child_command
        self._supervisor, self._timing = Supervisor(storage, timing), timing
        self._device, self._host = device_key(settings), host_name()

    def serve(self, may_end: Callable[[], bool], *, max_jobs: int | None = None) -> int:
        """Look after what runs and start what is queued, until it may end and nothing is left."""
        while True:
            self._supervisor.look()
            if self._has_run(max_jobs):
                return self._supervisor.num_ended
            job = (
                None if self._supervisor.is_minding_its_own() else retry_until_written(self._claim)
            )
            if job is not None:
                self._start(job)
            elif may_end() and self._is_idle():
                return self._supervisor.num_ended
            else:
                time.sleep(self._timing.poll_s)

    def _has_run(self, max_jobs: int | None) -> bool:
        return max_jobs is not None and self._supervisor.num_ended >= max_jobs

    def _is_idle(self) -> bool:
        return not self._supervisor.is_minding() and retry_until_written(self._count_queued) == 0

    def _claim(self) -> Job | None:
        """Looked for first: looking locks nothing, and most of the time there is nothing."""
        with self._storage.database.session() as session:
            jobs = JobRepository(session)
            if jobs.count_queued() == 0:
                return None
            return jobs.claim_next(self._device, self._host)

    def _count_queued(self) -> int:
        with self._storage.database.session() as session:
            return JobRepository(session).count_queued()

    def _start(self, job: Job) -> None:
        command = [*self._command, str(job.id)]
        try:
            process = start_detached(command, self._settings, self._storage.log_path(job.id))
        except OSError as exc:
            self._supervisor.refuse(job.id, f"The training process could not be started: {exc}.")
            return
        self._supervisor.adopt(job, process)


if __name__ == "__main__":
    main()


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
    restarter = WorkerRestarter(settings, start)
    thread = threading.Thread(target=restarter.keep_until, args=(rest, look_every_s), daemon=True)
    thread.start()
    try:
        yield
    finally:
        rest.set()
        thread.join()


class WorkerRestarter:
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
