"""The order of the jobs: who is next, and how a person changes that."""

from sqlalchemy import exists, select, update
from sqlalchemy.orm import aliased

from dyod_studio.errors import InvalidInputError, JobStateError
from dyod_studio.store.job_rows import JobRows
from dyod_studio.store.tables import NEXT_STATES, Job, JobState, utc_now

WAITING = (JobState.QUEUED, JobState.PAUSED)


class JobQueue(JobRows):
    """The queue of all projects."""

    def queue(self) -> list[Job]:
        """Every job that has not come to an end: what runs first, then the order of the queue."""
        chosen = select(Job).where(Job.state.in_(list(NEXT_STATES)))
        rests = Job.state != JobState.RUNNING
        return list(self._session.scalars(chosen.order_by(rests, Job.place, Job.id)))

    def claim_next(self, device: str, host: str) -> Job | None:
        """Take the first queued job, in one statement, so two workers never share one.

        Nothing is taken while a job runs on the device.
        """
        other = aliased(Job)
        is_busy = exists(
            select(other.id).where(other.state == JobState.RUNNING, other.device == device)
        )
        is_queued = Job.state == JobState.QUEUED
        first = select(Job.id).where(is_queued).order_by(Job.place, Job.id).limit(1)
        now = utc_now()
        claim = (
            update(Job)
            .where(Job.id == first.scalar_subquery(), is_queued, ~is_busy)
            .values(
                state=JobState.RUNNING,
                device=device,
                host=host,
                pid=None,
                pid_started_at=None,
                started_at=now,
                heartbeat_at=now,
                attempts=Job.attempts + 1,
            )
            .returning(Job)
        )
        return self._session.scalars(
            claim, execution_options={"populate_existing": True}
        ).one_or_none()

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

    def put_first(self, job_id: int) -> Job:
        """Make a waiting job the next one."""
        return self.set_place(job_id, 1)

    def _waiting(self) -> list[Job]:
        return [job for job in self.queue() if job.state in WAITING]
