"""See to it that every job that is marked running does run, or say what became of it.

Any number of supervisors may look after the same jobs: each change of a row holds only if the row
still says what the supervisor saw.
"""

import logging
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from dyod_studio.errors import JobStateError, NotFoundError
from dyod_studio.jobs.child import read_tail
from dyod_studio.jobs.devices import host_name
from dyod_studio.jobs.failures import DIED, UNSTARTED, describe_end
from dyod_studio.jobs.processes import (
    end_orphans,
    end_process_tree,
    identify,
    is_alive,
)
from dyod_studio.store.database import retry_until_written
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.records import Job, JobState, ProcessIdentity, utc_now
from dyod_studio.store.storage import Storage


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
        return self.identity is not None and is_alive(self.identity)

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
class HeartbeatMonitor:
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
    return job.owner


MAX_ATTEMPTS = 3

log = logging.getLogger(__name__)


class Supervisor:
    """Looks after the running jobs of this machine, and notices when another machine is gone."""

    def __init__(self, storage: Storage, timing: Timing) -> None:
        self._storage, self._timing = storage, timing
        self._host = host_name()
        self._children: dict[int, Child] = {}
        self._monitor = HeartbeatMonitor(timing)
        self.num_ended = 0
        """How many of the jobs started here have come to their end."""

    def is_minding_its_own(self) -> bool:
        """Whether a process that was started here still runs."""
        return any(child.process is not None for child in self._children.values())

    def is_minding(self) -> bool:
        """Whether any job of this machine still runs."""
        return bool(self._children)

    def adopt(self, job: Job, process: subprocess.Popen[bytes]) -> None:
        """Look after a process that was just started for a claimed job."""
        identity = identify(process.pid)
        self._children[job.id] = Child(identity, job.attempts, process)
        if identity is not None:
            retry_until_written(partial(self._name, job.id, identity))

    def refuse(self, job_id: int, error: str) -> None:
        """Say that a claimed job could not even be started."""
        self.num_ended += 1
        unnamed = ProcessIdentity(self._host, None)
        retry_until_written(partial(self._end, job_id, JobState.FAILED, unnamed, error, UNSTARTED))

    def look(self) -> None:
        """Enforce what was asked, close what has died, here and on machines that are gone."""
        running = {job.id: job for job in retry_until_written(self._running)}
        self._monitor.forget_all_but(set(running))
        for job in running.values():
            if job.host == self._host:
                self._find_child(job)
            elif self._monitor.is_dead(job):
                self._give_up(job, f"The machine {job.host} has fallen silent with this job.")
        for job_id, child in list(self._children.items()):
            row = running.get(job_id)
            is_its_own = row is not None and row.host == self._host and child.is_of(row)
            self._look_after(job_id, child, row if is_its_own else None)

    def _find_child(self, job: Job) -> None:
        """Know the process that the row names now; it may have been started by another worker."""
        known = self._children.get(job.id)
        if known is None or (known.process is None and not known.is_of(job)):
            self._children[job.id] = Child(identity_of(job), job.attempts)

    def _look_after(self, job_id: int, child: Child, job: Job | None) -> None:
        if child.is_running():
            child.dead_since = None
            is_silent = job is not None and job.pid is not None and self._monitor.is_dead(job)
            grace_s = 0.0 if is_silent else grace_of(job, self._timing)
            child.enforce(grace_s, self._timing.kill_grace_s)
        elif job is None or child.may_be_closed(self._timing):
            del self._children[job_id]
            child.clear_away()
            self._close(job_id, child)

    def _close(self, job_id: int, child: Child) -> None:
        """The process is gone: give its row the end that it could not write itself."""
        job = retry_until_written(partial(self._find, job_id))
        if job is None:
            self._clear_away(job_id)
        elif job.state is not JobState.RUNNING:
            retry_until_written(partial(self._show_log, job_id))
        elif job.host == self._host and child.is_of(job):
            clear_half_written(self._storage.run_dir(job_id))
            self._give_up(job, _what_happened(job, child))
        if child.process is not None:
            after = retry_until_written(partial(self._find, job_id))
            is_to_go_on = after is not None and after.state in (JobState.QUEUED, JobState.RUNNING)
            self.num_ended += not is_to_go_on

    def _give_up(self, job: Job, reason: str) -> None:
        """End, rest or queue again a job whose process is dead, as was asked of it."""
        dead = job.owner
        if job.cancel_requested:
            retry_until_written(partial(self._end, job.id, JobState.CANCELLED, dead))
        elif job.pause_requested:
            retry_until_written(partial(self._end, job.id, JobState.PAUSED, dead))
        elif job.attempts < MAX_ATTEMPTS:
            retry_until_written(partial(self._put_back, job.id, dead, reason))
        else:
            error = f"Tried {MAX_ATTEMPTS} times; the last time: {reason[0].lower()}{reason[1:]}"
            retry_until_written(partial(self._end, job.id, JobState.FAILED, dead, error, DIED))

    def _running(self) -> list[Job]:
        with self._storage.database.session() as session:
            return JobRepository(session).running()

    def _find(self, job_id: int) -> Job | None:
        with self._storage.database.session() as session:
            return JobRepository(session).find(job_id)

    def _name(self, job_id: int, identity: ProcessIdentity) -> None:
        with self._storage.database.session() as session:
            JobRepository(session).set_process(job_id, identity)

    def _show_log(self, job_id: int) -> None:
        with self._storage.database.session() as session:
            JobRepository(session).show_log(job_id, read_tail(self._storage.log_path(job_id)))

    def _put_back(self, job_id: int, dead: ProcessIdentity, reason: str) -> None:
        log.warning("Job %d: %s", job_id, reason)
        with self._storage.database.session() as session:
            JobRepository(session).put_back(job_id, reason, dead)

    def _end(
        self,
        job_id: int,
        state: JobState,
        dead: ProcessIdentity,
        error: str | None = None,
        remedy: str | None = None,
    ) -> None:
        tail = read_tail(self._storage.log_path(job_id))
        try:
            with self._storage.database.session() as session:
                JobRepository(session).move(
                    job_id, state, error=error, remedy=remedy, log_tail=tail, owner=dead
                )
        except NotFoundError:
            self._clear_away(job_id)
        except JobStateError as exc:
            log.info("Another worker was first: %s", exc)

    def _clear_away(self, job_id: int) -> None:
        """Remove what a job wrote whose project was deleted while it ran."""
        shutil.rmtree(self._storage.run_dir(job_id), ignore_errors=True)


def clear_half_written(run_dir: Path) -> None:
    """Remove what a dead process was writing, or removing, when it died."""
    for pattern in ("*.partial", "*/*.partial", "*/*.dropped"):
        for path in run_dir.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _what_happened(job: Job, child: Child) -> str:
    if job.pid is None and child.process is None:
        return "The studio was stopped before this job began."
    return describe_end(child.exit_code(), job.step, job.num_steps)
