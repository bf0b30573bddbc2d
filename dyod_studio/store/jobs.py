"""The queue of jobs, and all that changes a job's state."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, delete, exists, func, select, update
from sqlalchemy.orm import Session, aliased

from dyod_studio.errors import InvalidInputError, JobStateError, NotFoundError
from dyod_studio.store.records import (
    NEXT_STATES,
    Job,
    JobState,
    Preview,
    ProcessIdentity,
    states_before,
    utc_now,
)
from dyod_studio.store.tables import JobRow, PreviewRow


class JobRows:
    """Jobs in the session it is given; the caller commits."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, job_id: int) -> Job:
        """The job as it stands in the database now."""
        job = self.find(job_id)
        if job is None:
            raise NotFoundError(f"There is no job {job_id}.")
        return job

    def find(self, job_id: int) -> Job | None:
        row = self._session.get(JobRow, job_id, populate_existing=True)
        return None if row is None else Job.of(row)

    def _jobs(self, chosen: Select[JobRow]) -> list[Job]:
        return [Job.of(row) for row in self._session.scalars(chosen)]

    def _change(self, job_id: int, *conditions: ColumnElement[bool], **values: Any) -> bool:
        """Change the row in one statement if the conditions hold; whether they did."""
        change = update(JobRow).where(JobRow.id == job_id, *conditions).values(values)
        return self._session.scalar(change.returning(JobRow.id)) is not None


def owned_by(owner: ProcessIdentity | None) -> list[ColumnElement[bool]]:
    """The condition that a job is still the owner's; None asks for nothing."""
    return [] if owner is None else [JobRow.host == owner.host, JobRow.pid == owner.pid]


WAITING = (JobState.QUEUED, JobState.PAUSED)


class JobQueue(JobRows):
    """The queue of all projects."""

    def queue(self) -> list[Job]:
        """Every job that has not come to an end: what runs first, then the order of the queue."""
        chosen = select(JobRow).where(JobRow.state.in_(list(NEXT_STATES)))
        rests = JobRow.state != JobState.RUNNING
        return self._jobs(chosen.order_by(rests, JobRow.place, JobRow.id))

    def claim_next(self, device: str, host: str) -> Job | None:
        """Take the first queued job, in one statement, so two workers never share one.

        Nothing is taken while a job runs on the device.
        """
        other = aliased(JobRow)
        is_busy = exists(
            select(other.id).where(other.state == JobState.RUNNING, other.device == device)
        )
        is_queued = JobRow.state == JobState.QUEUED
        first = select(JobRow.id).where(is_queued).order_by(JobRow.place, JobRow.id).limit(1)
        now = utc_now()
        claim = (
            update(JobRow)
            .where(JobRow.id == first.scalar_subquery(), is_queued, ~is_busy)
            .values(
                state=JobState.RUNNING,
                device=device,
                host=host,
                pid=None,
                pid_started_at=None,
                started_at=now,
                heartbeat_at=now,
                attempts=JobRow.attempts + 1,
            )
            .returning(JobRow)
        )
        fresh = {"populate_existing": True}
        row = self._session.scalars(claim, execution_options=fresh).one_or_none()
        return None if row is None else Job.of(row)

    def set_place(self, job_id: int, position: int) -> Job:
        """Put a waiting job at this position among the waiting ones, counted from 1.

        Raises:
            InvalidInputError: the position is below 1; one beyond the end means the end.
            JobStateError: the job is not waiting any more.
        """
        if position < 1:
            raise InvalidInputError(f"The place in the queue counts from 1, got {position}.")
        waiting = self._waiting()
        order = [job.id for job in waiting if job.id != job_id]
        if len(order) == len(waiting):
            state = self.get(job_id).state
            raise JobStateError(f"Job {job_id} is {state}; only a waiting job can be moved.")
        order.insert(position - 1, job_id)
        for place, moved in enumerate(order, start=min(job.place for job in waiting)):
            self._change(moved, place=place)
        return self.get(job_id)

    def position(self, job_id: int) -> int | None:
        """Its position among the waiting jobs, counted from 1; None when it does not wait."""
        waiting = [job.id for job in self._waiting()]
        return waiting.index(job_id) + 1 if job_id in waiting else None

    def _waiting(self) -> list[Job]:
        return [job for job in self.queue() if job.state in WAITING]


QUEUED, RUNNING, PAUSED = JobState.QUEUED, JobState.RUNNING, JobState.PAUSED


class ControlFlags(NamedTuple):
    """Requests to a running job."""

    cancel: bool
    pause: bool
    save: bool
    sample: bool


class JobRequests(JobRows):
    """Cancel, pause, resume, save now, sample now."""

    def control_flags(
        self, job_id: int, owner: ProcessIdentity | None = None
    ) -> ControlFlags | None:
        """Requests to a running job; None when it is not to be run (any more, by this one)."""
        flags = (
            JobRow.cancel_requested,
            JobRow.pause_requested,
            JobRow.save_requested,
            JobRow.sample_requested,
        )
        chosen = select(*flags).where(
            JobRow.id == job_id, JobRow.state == RUNNING, *owned_by(owner)
        )
        row = self._session.execute(chosen).one_or_none()
        return None if row is None else ControlFlags(*row)

    def request_cancel(self, job_id: int) -> Job:
        """Cancel a waiting job at once; ask a running one to stop.

        Raises:
            JobStateError: the job has come to an end already.
        """
        ended = {"state": JobState.CANCELLED, "finished_at": utc_now(), "pause_requested": False}
        if self._change(
            job_id, JobRow.state.in_([QUEUED, PAUSED]), cancel_requested=True, **ended
        ) or self._change(job_id, JobRow.state == RUNNING, cancel_requested=True):
            return self.get(job_id)
        raise JobStateError(f"Job {job_id} is {self.get(job_id).state}; it cannot be cancelled.")

    def request_pause(self, job_id: int) -> Job:
        """Pause a queued job at once; ask a running one to save its state and rest.

        Raises:
            JobStateError: the job is paused, was asked to stop, or has come to an end.
        """
        if self._change(job_id, JobRow.state == QUEUED, state=PAUSED) or self._change(
            job_id,
            JobRow.state == RUNNING,
            JobRow.cancel_requested.is_(False),
            pause_requested=True,
        ):
            return self.get(job_id)
        raise self._refusal(job_id, "paused")

    def resume(self, job_id: int) -> Job:
        """Queue a paused job again, at its old place; a pause not yet obeyed is taken back.

        Raises:
            JobStateError: the job is neither paused nor about to be.
        """
        if self._change(
            job_id, JobRow.state == PAUSED, state=QUEUED, attempts=0, pause_requested=False
        ) or self._change(
            job_id, JobRow.state == RUNNING, JobRow.pause_requested.is_(True), pause_requested=False
        ):
            return self.get(job_id)
        raise self._refusal(job_id, "resumed")

    def request_save(self, job_id: int) -> Job:
        """Ask a running job for a checkpoint at the end of its step.

        Raises:
            JobStateError: the job is not running, or was asked to stop.
        """
        return self._ask_running(job_id, "save_requested", "asked for a checkpoint")

    def request_sample(self, job_id: int) -> Job:
        """Ask a running job for preview pictures at the end of its step.

        Raises:
            JobStateError: the job is not running, or was asked to stop.
        """
        return self._ask_running(job_id, "sample_requested", "asked for pictures")

    def acknowledge(self, job_id: int, *, save: bool = False, sample: bool = False) -> None:
        """Take back the requests that have been obeyed."""
        done = {"save_requested": False} if save else {}
        done |= {"sample_requested": False} if sample else {}
        if done:
            self._change(job_id, **done)

    def _ask_running(self, job_id: int, flag: str, what: str) -> Job:
        may_be_asked = (JobRow.state == RUNNING, JobRow.cancel_requested.is_(False))
        if self._change(job_id, *may_be_asked, **{flag: True}):
            return self.get(job_id)
        raise self._refusal(job_id, what)

    def _refusal(self, job_id: int, what: str) -> JobStateError:
        job = self.get(job_id)
        state = "being cancelled" if job.state is RUNNING and job.cancel_requested else job.state
        return JobStateError(f"Job {job_id} is {state}; it cannot be {what}.")


MAX_NOTES = 50
"""A run that says more than this has said it."""


class JobRepository(JobQueue, JobRequests):
    """Reads and writes jobs in the session it is given; the caller commits."""

    def add(
        self,
        project_id: int,
        kind: str,
        config: Mapping[str, Any],
        num_steps: int,
        *,
        continues_job_id: int | None = None,
        start_step: int | None = None,
        is_finish_only: bool = False,
        adjustments: Mapping[str, Any] | None = None,
    ) -> Job:
        """Put a job at the end of the queue.

        Args:
            continues_job_id: the job whose checkpoint it begins from: the one of ``start_step``,
                or the newest.
            is_finish_only: make no step, turn that checkpoint into the trained part.
        """
        last = select(func.coalesce(func.max(JobRow.place), 0)).scalar_subquery()
        job = JobRow(
            project_id=project_id,
            kind=kind,
            place=last + 1,
            config=dict(config),
            num_steps=num_steps,
            continues_job_id=continues_job_id,
            start_step=start_step,
            is_finish_only=is_finish_only,
            adjustments=dict(adjustments or {}),
        )
        self._session.add(job)
        self._session.flush()
        self._session.refresh(job)
        return Job.of(job)

    def of_project(self, project_id: int) -> list[Job]:
        """Its jobs, the newest first."""
        chosen = select(JobRow).where(JobRow.project_id == project_id).order_by(JobRow.id.desc())
        return self._jobs(chosen)

    def running(self) -> list[Job]:
        """Every job that is marked running, the oldest first."""
        chosen = select(JobRow).where(JobRow.state == JobState.RUNNING).order_by(JobRow.id)
        return self._jobs(chosen)

    def count_queued(self) -> int:
        """How many jobs wait for a worker."""
        chosen = select(func.count(JobRow.id)).where(JobRow.state == JobState.QUEUED)
        return self._session.execute(chosen).scalar_one()

    def set_process(self, job_id: int, process: ProcessIdentity) -> bool:
        """Name the process that runs the job; False when it is not this host's to run any more."""
        is_taken = (JobRow.state == JobState.RUNNING, JobRow.host == process.host)
        is_free = JobRow.pid.is_(None) | (JobRow.pid == process.pid)
        named = {"pid": process.pid, "pid_started_at": process.started_at}
        return self._change(job_id, *is_taken, is_free, **named)

    def beat(self, job_id: int, log_tail: str, owner: ProcessIdentity | None = None) -> bool:
        """Say that the job lives, and show the end of its log; False when it is not the owner's."""
        return self._change(job_id, *owned_by(owner), heartbeat_at=utc_now(), log_tail=log_tail)

    def show_log(self, job_id: int, log_tail: str) -> None:
        """Show the end of the log of a job that has ended."""
        self._change(job_id, log_tail=log_tail)

    def progress(
        self,
        job_id: int,
        step: int,
        *,
        loss: float | None,
        seconds_left: float | None,
        samples_per_s: float | None = None,
        peak_memory_mb: float | None = None,
        owner: ProcessIdentity | None = None,
    ) -> None:
        """Note how far a running job has come; a job in another state keeps what it shows."""
        self._change(
            job_id,
            JobRow.state == JobState.RUNNING,
            *owned_by(owner),
            step=step,
            loss=loss,
            seconds_left=seconds_left,
            samples_per_s=samples_per_s,
            peak_memory_mb=peak_memory_mb,
        )

    def adjust(self, job_id: int, adjustments: Mapping[str, Any], note: str) -> None:
        """Keep what was changed so that the run fits into memory, and say so."""
        self._change(job_id, adjustments=dict(adjustments))
        self.add_note(job_id, note)

    def add_note(self, job_id: int, note: str) -> None:
        """Add a sentence to what happened on the way, unless it was said before."""
        job = self.find(job_id)
        if job is not None and note not in job.notes and len(job.notes) < MAX_NOTES:
            self._change(job_id, notes=[*job.notes, note])

    def put_back(self, job_id: int, reason: str, dead: ProcessIdentity | None = None) -> bool:
        """Queue a running job again whose process died; False when it is not so any more.

        It keeps its place, and goes on from its last checkpoint.
        """
        is_dead = [JobRow.state == JobState.RUNNING, *owned_by(dead)]
        resting = {"pid": None, "pid_started_at": None, "seconds_left": None}
        if not self._change(job_id, *is_dead, state=JobState.QUEUED, **resting):
            return False
        self.add_note(job_id, reason)
        return True

    def move(
        self,
        job_id: int,
        to: JobState,
        *,
        error: str | None = None,
        remedy: str | None = None,
        log_tail: str | None = None,
        owner: ProcessIdentity | None = None,
    ) -> None:
        """Change the state if the move is legal; a final state is never overwritten.

        Raises:
            JobStateError: the job's state, or its new owner, does not allow the move.
        """
        values: dict[str, Any] = {"state": to, "error": error, "remedy": remedy}
        if to not in (JobState.RUNNING, JobState.QUEUED):
            values |= {"seconds_left": None, "pause_requested": False}
        if to not in NEXT_STATES:
            values["finished_at"] = utc_now()
        if log_tail is not None:
            values["log_tail"] = log_tail
        legal = JobRow.state.in_(states_before(to))
        if not self._change(job_id, legal, *owned_by(owner), **values):
            raise JobStateError(f"Job {job_id} is {self.get(job_id).state}; it cannot become {to}.")

    def set_previews(self, job_id: int, step: int, names: Sequence[str]) -> None:
        """Name the pictures (SHA-256) of a step, in place of those it had before."""
        self._session.execute(
            delete(PreviewRow).where(PreviewRow.job_id == job_id, PreviewRow.step == step)
        )
        self._session.add_all(PreviewRow(job_id=job_id, step=step, sha256=name) for name in names)
        self._session.flush()

    def latest_previews(self, job_id: int) -> list[Preview]:
        """Pictures of the newest step that has any, in their order."""
        newest = select(func.max(PreviewRow.step)).where(PreviewRow.job_id == job_id)
        chosen = select(PreviewRow).where(
            PreviewRow.job_id == job_id, PreviewRow.step == newest.scalar_subquery()
        )
        rows = self._session.scalars(chosen.order_by(PreviewRow.id))
        return [Preview(row.step, row.sha256) for row in rows]
