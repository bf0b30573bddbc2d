"""The jobs table and the only code that changes a job's state."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from dyod_studio.errors import JobStateError, NotFoundError
from dyod_studio.store.tables import NEXT_STATES, Job, JobState, Preview, states_before, utc_now


class JobRepository:
    """Reads and writes jobs in the session it is given; the caller commits."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, project_id: int, kind: str, config: Mapping[str, Any], num_steps: int) -> Job:
        """Put a job at the end of the queue."""
        job = Job(project_id=project_id, kind=kind, config=dict(config), num_steps=num_steps)
        self._session.add(job)
        self._session.flush()
        return job

    def get(self, job_id: int) -> Job:
        """The job as it stands in the database now."""
        job = self.find(job_id)
        if job is None:
            raise NotFoundError(f"There is no job {job_id}.")
        return job

    def find(self, job_id: int) -> Job | None:
        return self._session.get(Job, job_id, populate_existing=True)

    def of_project(self, project_id: int) -> list[Job]:
        """Its jobs, the newest first."""
        chosen = select(Job).where(Job.project_id == project_id).order_by(Job.id.desc())
        return list(self._session.scalars(chosen))

    def running(self) -> list[Job]:
        """Every job that is marked running, the oldest first."""
        chosen = select(Job).where(Job.state == JobState.RUNNING).order_by(Job.id)
        return list(self._session.scalars(chosen))

    def count_open(self) -> int:
        """How many jobs have not come to an end."""
        chosen = select(func.count(Job.id)).where(Job.state.in_(list(NEXT_STATES)))
        return self._session.execute(chosen).scalar_one()

    def claim_next(self) -> Job | None:
        """Take the oldest queued job, in one statement, so two workers never share one."""
        oldest = select(Job.id).where(Job.state == JobState.QUEUED).order_by(Job.id).limit(1)
        now = utc_now()
        claim = (
            update(Job)
            .where(Job.id == oldest.scalar_subquery(), Job.state == JobState.QUEUED)
            .values(
                state=JobState.RUNNING,
                started_at=now,
                heartbeat_at=now,
                attempts=Job.attempts + 1,
                pid=None,
                pid_started_at=None,
            )
            .returning(Job)
        )
        return self._session.scalars(
            claim, execution_options={"populate_existing": True}
        ).one_or_none()

    def set_process(self, job_id: int, pid: int, started_at: float) -> bool:
        """Name the process that runs the job; False when the job is not to be run any more."""
        change = (
            update(Job)
            .where(Job.id == job_id, Job.state == JobState.RUNNING)
            .values(pid=pid, pid_started_at=started_at)
        )
        return self._session.scalar(change.returning(Job.id)) is not None

    def beat(self, job_id: int, log_tail: str) -> None:
        """Say that a worker watches the job, and show the end of its log."""
        self._session.execute(
            update(Job).where(Job.id == job_id).values(heartbeat_at=utc_now(), log_tail=log_tail)
        )

    def progress(
        self, job_id: int, step: int, *, loss: float | None, seconds_left: float | None
    ) -> None:
        """Note how far a running job has come; a job in another state keeps what it shows."""
        self._session.execute(
            update(Job)
            .where(Job.id == job_id, Job.state == JobState.RUNNING)
            .values(step=step, loss=loss, seconds_left=seconds_left)
        )

    def request_cancel(self, job_id: int) -> Job:
        """Cancel a queued job at once; ask a running one to stop.

        Raises:
            JobStateError: the job has come to an end already.
        """
        dequeue = (
            update(Job)
            .where(Job.id == job_id, Job.state == JobState.QUEUED)
            .values(state=JobState.CANCELLED, cancel_requested=True, finished_at=utc_now())
        )
        ask = (
            update(Job)
            .where(Job.id == job_id, Job.state == JobState.RUNNING)
            .values(cancel_requested=True)
        )
        for change in (dequeue, ask):
            if self._session.scalar(change.returning(Job.id)) is not None:
                return self.get(job_id)
        raise JobStateError(f"Job {job_id} is {self.get(job_id).state}; it cannot be cancelled.")

    def is_wanted(self, job_id: int) -> bool:
        """Whether the job's process should go on: still there, running, not asked to stop."""
        chosen = select(Job.id).where(
            Job.id == job_id, Job.state == JobState.RUNNING, Job.cancel_requested.is_(False)
        )
        return self._session.scalar(chosen) is not None

    def move(
        self, job_id: int, to: JobState, *, error: str | None = None, log_tail: str | None = None
    ) -> None:
        """Change the state if the move is legal; a final state is never overwritten.

        Raises:
            JobStateError: the job's state does not allow the move.
        """
        values: dict[str, Any] = {"state": to, "error": error}
        if to not in NEXT_STATES:
            values |= {"finished_at": utc_now(), "seconds_left": None}
        if log_tail is not None:
            values["log_tail"] = log_tail
        change = update(Job).where(Job.id == job_id, Job.state.in_(states_before(to)))
        if self._session.scalar(change.values(values).returning(Job.id)) is None:
            raise JobStateError(f"Job {job_id} is {self.get(job_id).state}; it cannot become {to}.")

    def add_preview(self, job_id: int, step: int, sha256: str) -> None:
        self._session.add(Preview(job_id=job_id, step=step, sha256=sha256))
        self._session.flush()

    def latest_previews(self, job_id: int) -> list[Preview]:
        """The pictures of the newest step that has any, in their order."""
        newest = select(func.max(Preview.step)).where(Preview.job_id == job_id)
        chosen = select(Preview).where(
            Preview.job_id == job_id, Preview.step == newest.scalar_subquery()
        )
        return list(self._session.scalars(chosen.order_by(Preview.id)))
