"""The jobs table and, with ``job_queue`` and ``job_requests``, all that changes a job's state."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, select

from dyod_studio.errors import JobStateError
from dyod_studio.store.job_queue import JobQueue
from dyod_studio.store.job_requests import JobRequests
from dyod_studio.store.job_rows import Owner, owned_by
from dyod_studio.store.tables import NEXT_STATES, Job, JobState, Preview, states_before, utc_now

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
        last = select(func.coalesce(func.max(Job.place), 0)).scalar_subquery()
        job = Job(
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
        return job

    def of_project(self, project_id: int) -> list[Job]:
        """Its jobs, the newest first."""
        chosen = select(Job).where(Job.project_id == project_id).order_by(Job.id.desc())
        return list(self._session.scalars(chosen))

    def running(self) -> list[Job]:
        """Every job that is marked running, the oldest first."""
        chosen = select(Job).where(Job.state == JobState.RUNNING).order_by(Job.id)
        return list(self._session.scalars(chosen))

    def count_queued(self) -> int:
        """How many jobs wait for a worker."""
        chosen = select(func.count(Job.id)).where(Job.state == JobState.QUEUED)
        return self._session.execute(chosen).scalar_one()

    def set_process(self, job_id: int, pid: int, started_at: float, *, host: str) -> bool:
        """Name the process that runs the job; False when it is not this host's to run any more."""
        is_taken = (Job.state == JobState.RUNNING, Job.host == host)
        is_free = Job.pid.is_(None) | (Job.pid == pid)
        return self._change(job_id, *is_taken, is_free, pid=pid, pid_started_at=started_at)

    def beat(self, job_id: int, log_tail: str, owner: Owner | None = None) -> bool:
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
        owner: Owner | None = None,
    ) -> None:
        """Note how far a running job has come; a job in another state keeps what it shows."""
        self._change(
            job_id,
            Job.state == JobState.RUNNING,
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

    def put_back(self, job_id: int, reason: str, dead: Owner | None = None) -> bool:
        """Queue a running job again whose process died; False when it is not so any more.

        It keeps its place, and goes on from its last checkpoint.
        """
        is_dead = [Job.state == JobState.RUNNING, *owned_by(dead)]
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
        owner: Owner | None = None,
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
        legal = Job.state.in_(states_before(to))
        if not self._change(job_id, legal, *owned_by(owner), **values):
            raise JobStateError(f"Job {job_id} is {self.get(job_id).state}; it cannot become {to}.")

    def set_previews(self, job_id: int, step: int, names: Sequence[str]) -> None:
        """Name the pictures (SHA-256) of a step, in place of those it had before."""
        self._session.execute(delete(Preview).where(Preview.job_id == job_id, Preview.step == step))
        self._session.add_all(Preview(job_id=job_id, step=step, sha256=name) for name in names)
        self._session.flush()

    def latest_previews(self, job_id: int) -> list[Preview]:
        """The pictures of the newest step that has any, in their order."""
        newest = select(func.max(Preview.step)).where(Preview.job_id == job_id)
        chosen = select(Preview).where(
            Preview.job_id == job_id, Preview.step == newest.scalar_subquery()
        )
        return list(self._session.scalars(chosen.order_by(Preview.id)))
