"""What every part of the job repository stands on: the session, one row, one guarded change."""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import Session

from dyod_studio.errors import NotFoundError
from dyod_studio.store.tables import Job


class Owner(NamedTuple):
    """The process that runs a job. One that was given up for dead owns it no longer."""

    host: str | None
    pid: int | None
    """None: a worker has claimed the job, and has not named its process yet."""


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
        return self._session.get(Job, job_id, populate_existing=True)

    def _change(self, job_id: int, *conditions: ColumnElement[bool], **values: Any) -> bool:
        """Change the row in one statement if the conditions hold; whether they did."""
        change = update(Job).where(Job.id == job_id, *conditions).values(values)
        return self._session.scalar(change.returning(Job.id)) is not None


def owned_by(owner: Owner | None) -> list[ColumnElement[bool]]:
    """The condition that a job is still the owner's; None asks for nothing."""
    return [] if owner is None else [Job.host == owner.host, Job.pid == owner.pid]
