"""The processes that run jobs on this machine: still at it, to be ended, or dead."""

import subprocess
import time
from dataclasses import dataclass, field
from datetime import datetime

from dyod_studio.jobs.processes import (
    ProcessIdentity,
    end_orphans,
    end_process_tree,
)
from dyod_studio.store.tables import Job, utc_now


@dataclass(frozen=True, slots=True)
class Timing:
    """How often things are looked at, and how long they are waited for, in seconds."""

    poll_s: float = 0.5
    cancel_grace_s: float = 30.0
    """What a child may take to stop by itself before its process tree is ended."""
    pause_grace_s: float = 180.0
    """The same for a pause: more, for the step at hand and its checkpoint are worth waiting for."""
    kill_grace_s: float = 5.0
    """What the processes of that tree may take to end when asked, before they are killed."""
    start_grace_s: float = 15.0
    """What a worker may take from claiming a job to naming its process."""
    witness_grace_s: float = 2.0
    """What the worker that started a child may take to say how it ended; then another does."""
    dead_after_s: float = 90.0
    """Age of a heartbeat that is a sign of death, when it also stands still while watched."""
    watched_for_s: float = 12.0
    """How long a heartbeat must stand still while watched: clocks of two machines may differ."""


@dataclass
class Child:
    """A process that runs a job of this machine.

    Args:
        attempt: which one of the job's it is. process: only of those started here.
    """

    identity: ProcessIdentity | None
    attempt: int
    process: subprocess.Popen[bytes] | None = None
    unwanted_since: float | None = None
    dead_since: float | None = None

    def is_running(self) -> bool:
        """Whether it still runs, or is about to."""
        if self.process is not None:
            return self.process.poll() is None
        return self.identity is not None and self.identity.is_alive()

    def is_of(self, job: Job) -> bool:
        """Whether the row stands for this attempt, and names this process or none yet."""
        if self.process is not None:
            pid: int | None = self.process.pid
        else:
            pid = None if self.identity is None else self.identity.pid
        return job.attempts == self.attempt and job.pid in (None, pid)

    def exit_code(self) -> int | None:
        """None when nobody saw the end."""
        return None if self.process is None else self.process.returncode

    def enforce(self, grace_s: float | None, kill_grace_s: float) -> None:
        """End the process tree once it was unwanted for ``grace_s``; None: it is wanted."""
        now = time.monotonic()
        if grace_s is None:
            self.unwanted_since = None
            return
        self.unwanted_since = now if self.unwanted_since is None else self.unwanted_since
        if now - self.unwanted_since >= grace_s and self.identity is not None:
            end_process_tree(self.identity, grace_s=kill_grace_s)

    def may_be_closed(self, timing: Timing) -> bool:
        """Whether it is dead, and whoever started it had the time to say how it ended."""
        if self.process is not None:
            return True
        now = time.monotonic()
        self.dead_since = now if self.dead_since is None else self.dead_since
        grace_s = timing.start_grace_s if self.identity is None else timing.witness_grace_s
        return now - self.dead_since >= grace_s

    def clear_away(self) -> None:
        """Kill what the dead process left running."""
        if self.identity is not None:
            end_orphans(self.identity)


@dataclass
class Pulse:
    """Heartbeats as they are seen from here, by this machine's own clock."""

    timing: Timing
    _seen: dict[int, tuple[datetime | None, float]] = field(default_factory=dict)

    def is_dead(self, job: Job) -> bool:
        """Whether the heartbeat is old and has stood still for as long as it was watched."""
        now = time.monotonic()
        last, since = self._seen.get(job.id, (None, now))
        if (job.id not in self._seen) or last != job.heartbeat_at:
            self._seen[job.id] = (job.heartbeat_at, now)
            return False
        if now - since < self.timing.watched_for_s:
            return False
        age = None if last is None else (utc_now() - last).total_seconds()
        return age is None or age >= self.timing.dead_after_s

    def forget_all_but(self, job_ids: set[int]) -> None:
        """Drop what is known of jobs that run no more."""
        self._seen = {job_id: seen for job_id, seen in self._seen.items() if job_id in job_ids}


def grace_of(job: Job | None, timing: Timing) -> float | None:
    """How long a child may go on; None: as long as it takes."""
    if job is None or job.cancel_requested:
        return timing.cancel_grace_s
    return timing.pause_grace_s if job.pause_requested else None


def identity_of(job: Job) -> ProcessIdentity | None:
    """The process that the row names."""
    if job.pid is None or job.pid_started_at is None:
        return None
    return ProcessIdentity(job.pid, job.pid_started_at)
