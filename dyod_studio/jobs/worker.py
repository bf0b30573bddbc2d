"""The worker: claims jobs and runs each in a process of its own, which outlives it.

The row is the truth. The child writes its progress and its end; the worker beats the heart, ends
a child that does not obey, and says what became of one that can no longer say it itself. One
worker serves a storage folder, by a lock that the operating system frees when it dies.
"""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from filelock import FileLock, Timeout

from dyod_studio.errors import JobStateError
from dyod_studio.jobs.launching import start_detached
from dyod_studio.jobs.processes import ProcessIdentity, identify
from dyod_studio.jobs.retrying import patiently
from dyod_studio.jobs.watching import Child, Timing, Watcher
from dyod_studio.settings import Settings
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.storage import Storage, open_storage
from dyod_studio.store.tables import Job

CHILD_COMMAND = (sys.executable, "-m", "dyod_studio.jobs.child")
"""What runs a job; its number is appended."""


def run_worker(
    settings: Settings,
    *,
    once: bool = False,
    parent_pid: int | None = None,
    child_command: Sequence[str] = CHILD_COMMAND,
    timing: Timing | None = None,
) -> int:
    """Serve the queue; returns how many jobs were run to their end.

    Args:
        once: end when the queue is empty.
        parent_pid: the process on whose behalf this one serves: wait as a stand-by while another
            worker does, and end when that process is gone and the queue is empty.

    Raises:
        JobStateError: another worker serves this storage folder, and there is no parent.
    """
    storage = open_storage(settings.storage, settings.resolved_database_url)
    parent = None if parent_pid is None else Parent(parent_pid)
    lock = FileLock(storage.root / "worker.lock")
    try:
        if not _take(lock, parent):
            return 0
        worker = Worker(storage, settings, child_command, timing or Timing())
        return worker.serve(lambda: once or (parent is not None and parent.is_gone()))
    finally:
        lock.release()
        storage.close()


def start_worker(settings: Settings) -> subprocess.Popen[bytes]:
    """Start a worker process that serves as long as this process lives and work is left.

    Keep what is returned; it need not be waited for.
    """
    command = [sys.executable, "-m", "dyod_studio.jobs.worker", str(os.getpid())]
    return start_detached(command, settings, settings.storage / "worker.log")


def main() -> None:
    """The entry of the process that :func:`start_worker` starts."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run_worker(Settings(), parent_pid=int(sys.argv[1]))


class Parent:
    """The process that a worker serves for; one that is gone at the start never was."""

    def __init__(self, pid: int) -> None:
        self._identity = identify(pid)

    def is_gone(self) -> bool:
        return self._identity is None or not self._identity.is_alive()


def _take(lock: FileLock, parent: Parent | None) -> bool:
    """Hold the lock, or return False when there is nobody left to wait for."""
    while True:
        try:
            lock.acquire(timeout=0)
            return True
        except Timeout as exc:
            if parent is None:
                raise JobStateError(
                    "A worker already serves this storage folder; it runs what is queued."
                ) from exc
        if parent.is_gone():
            return False
        time.sleep(0.5)


class Worker:
    """Runs one job after the other in an opened storage folder."""

    def __init__(
        self, storage: Storage, settings: Settings, child_command: Sequence[str], timing: Timing
    ) -> None:
        self._storage, self._settings, self._command = storage, settings, child_command
        self._watcher, self._timing = Watcher(storage, timing), timing

    def serve(self, may_end: Callable[[], bool]) -> int:
        """See the children of an earlier worker to their end, then run what is queued."""
        for left in patiently(self._left_running):
            self._watcher.watch(left.id, Child(_identity(left)))
        num_jobs = 0
        while True:
            job = patiently(self._claim)
            if job is not None:
                self._run(job.id)
                num_jobs += 1
            elif may_end():
                return num_jobs
            else:
                time.sleep(self._timing.poll_s)

    def _left_running(self) -> list[Job]:
        with self._storage.database.session() as session:
            return JobRepository(session).running()

    def _claim(self) -> Job | None:
        with self._storage.database.session() as session:
            return JobRepository(session).claim_next()

    def _name_process(self, job_id: int, identity: ProcessIdentity) -> None:
        with self._storage.database.session() as session:
            JobRepository(session).set_process(job_id, identity.pid, identity.started_at)

    def _run(self, job_id: int) -> None:
        command = [*self._command, str(job_id)]
        try:
            process = start_detached(command, self._settings, self._storage.log_path(job_id))
        except OSError as exc:
            self._watcher.fail(job_id, f"The training process could not be started: {exc}.")
            return
        identity = identify(process.pid)
        if identity is not None:
            patiently(partial(self._name_process, job_id, identity))
        self._watcher.watch(job_id, Child(identity, process))


def _identity(job: Job) -> ProcessIdentity | None:
    if job.pid is None or job.pid_started_at is None:
        return None
    return ProcessIdentity(job.pid, job.pid_started_at)


if __name__ == "__main__":
    main()
