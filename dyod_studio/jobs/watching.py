"""See one child to its end: beat the heart, enforce a cancellation, say what became of it."""

import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from functools import partial

from dyod_studio.errors import NotFoundError
from dyod_studio.jobs.logs import read_tail
from dyod_studio.jobs.processes import ProcessIdentity, end_process_tree
from dyod_studio.jobs.retrying import patiently
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.storage import Storage
from dyod_studio.store.tables import Job, JobState


@dataclass(frozen=True, slots=True)
class Timing:
    """How often things are looked at, in seconds."""

    poll_s: float = 0.5
    beat_s: float = 5.0
    cancel_grace_s: float = 30.0
    """What a child may take to stop by itself before its process tree is ended."""
    kill_grace_s: float = 5.0
    """What the processes of that tree may take to end when asked, before they are killed."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process that runs a job. ``process`` is None when an earlier worker started it."""

    identity: ProcessIdentity | None
    process: subprocess.Popen[bytes] | None = None

    def is_running(self) -> bool:
        if self.process is not None:
            return self.process.poll() is None
        return self.identity is not None and self.identity.is_alive()

    def describe_end(self) -> str:
        """How it ended, as the second half of a sentence."""
        code = None if self.process is None else self.process.returncode
        if code is None:
            return "ended while no worker watched it"
        if code >= 0:
            return f"ended with exit code {code}"
        name = signal.Signals(-code).name
        cause = "; the machine may have run out of memory" if name == "SIGKILL" else ""
        return f"was ended by {name}{cause}"


class Watcher:
    """Watches the children of one storage folder."""

    def __init__(self, storage: Storage, timing: Timing) -> None:
        self._storage, self._timing = storage, timing

    def watch(self, job_id: int, child: Child) -> None:
        """Return when the child has ended and its row tells the truth."""
        unwanted_since = None
        last_beat = -self._timing.beat_s
        while child.is_running():
            now = time.monotonic()
            if now - last_beat >= self._timing.beat_s:
                patiently(partial(self._beat, job_id))
                last_beat = now
            if patiently(partial(self._is_wanted, job_id)):
                unwanted_since = None
            elif unwanted_since is None:
                unwanted_since = now
            elif now - unwanted_since >= self._timing.cancel_grace_s and child.identity:
                end_process_tree(child.identity, grace_s=self._timing.kill_grace_s)
            time.sleep(self._timing.poll_s)
        patiently(partial(self._close, job_id, child))

    def fail(self, job_id: int, error: str) -> None:
        """Say that a job could not even be started."""
        patiently(partial(self._end, job_id, JobState.FAILED, error))

    def _is_wanted(self, job_id: int) -> bool:
        with self._storage.database.session() as session:
            return JobRepository(session).is_wanted(job_id)

    def _beat(self, job_id: int) -> None:
        with self._storage.database.session() as session:
            JobRepository(session).beat(job_id, self._log_tail(job_id))

    def _close(self, job_id: int, child: Child) -> None:
        """The child is gone: give its row the end that it could not write itself."""
        with self._storage.database.session() as session:
            job = JobRepository(session).find(job_id)
        if job is None:
            self._clear_away(job_id)
        elif job.state is not JobState.RUNNING:
            self._beat(job_id)
        elif job.cancel_requested:
            self._end(job_id, JobState.CANCELLED, None)
        else:
            self._end(job_id, JobState.FAILED, _what_happened(job, child))

    def _end(self, job_id: int, state: JobState, error: str | None) -> None:
        try:
            with self._storage.database.session() as session:
                JobRepository(session).move(
                    job_id, state, error=error, log_tail=self._log_tail(job_id)
                )
        except NotFoundError:
            self._clear_away(job_id)

    def _clear_away(self, job_id: int) -> None:
        """Remove what a job wrote whose project was deleted while it ran."""
        shutil.rmtree(self._storage.run_dir(job_id), ignore_errors=True)

    def _log_tail(self, job_id: int) -> str:
        return read_tail(self._storage.log_path(job_id))


def _what_happened(job: Job, child: Child) -> str:
    if child.identity is None and child.process is None:
        return "The studio was stopped before this job began."
    progress = f"after {job.step} of {job.num_steps} steps"
    return f"The training process {child.describe_end()}, {progress}."
