"""Requests to the sampler, and how far they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from dyod_studio.errors import JobStateError, NotFoundError
from dyod_studio.store.records import (
    NEXT_STATES,
    JobState,
    ProcessIdentity,
    StoredRequest,
    states_before,
    utc_now,
)
from dyod_studio.store.tables import RequestInput, RequestRow


@dataclass(frozen=True, slots=True)
class InputFile:
    """A stored file that a request starts from, such as ``image``, ``region`` or ``a``."""

    name: str
    sha256: str
    suffix: str


class SampleRequestRepository:
    """Reads and writes sample requests in the session it is given; the caller commits."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        project_id: int,
        kind: str,
        parameters: Mapping[str, Any],
        *,
        num_steps: int,
        inputs: tuple[InputFile, ...] = (),
        owner: ProcessIdentity | None = None,
        created_at: datetime | None = None,
    ) -> StoredRequest:
        """A queued request; its input files are kept as long as it is."""
        request = RequestRow(
            project_id=project_id,
            kind=kind,
            parameters=dict(parameters),
            num_steps=num_steps,
            host=owner.host if owner else None,
            pid=owner.pid if owner else None,
            pid_started_at=owner.started_at if owner else None,
            created_at=created_at or utc_now(),
        )
        self._session.add(request)
        self._session.flush()
        for file in inputs:
            self._session.add(
                RequestInput(
                    request_id=request.id, name=file.name, sha256=file.sha256, suffix=file.suffix
                )
            )
        self._session.flush()
        return StoredRequest.of(request)

    def get(self, request_id: int) -> StoredRequest:
        """The request as it stands in the database now."""
        request = self._session.get(RequestRow, request_id, populate_existing=True)
        if request is None:
            raise NotFoundError(f"There is no sample request {request_id}.")
        return StoredRequest.of(request)

    def inputs(self, request_id: int) -> dict[str, InputFile]:
        """The files it starts from, by their names."""
        chosen = select(RequestInput).where(RequestInput.request_id == request_id)
        return {
            row.name: InputFile(row.name, row.sha256, row.suffix)
            for row in self._session.scalars(chosen)
        }

    def open_of_host(self, host: str) -> list[tuple[int, ProcessIdentity]]:
        """The requests that processes of this machine asked for and that have not ended."""
        chosen = select(RequestRow).where(
            RequestRow.host == host, RequestRow.state.in_(list(NEXT_STATES))
        )
        return [
            (row.id, ProcessIdentity(host, row.pid, row.pid_started_at))
            for row in self._session.scalars(chosen.order_by(RequestRow.id))
            if row.pid is not None and row.pid_started_at is not None
        ]

    def is_followed(self, request_id: int) -> bool:
        """Whether a later request waits for its picture, or is being drawn."""
        later = RequestRow.state.in_([JobState.QUEUED, JobState.RUNNING])
        chosen = select(RequestRow.id).where(RequestRow.id > request_id, later)
        return self._session.scalar(chosen.limit(1)) is not None

    def delete(self, request_id: int) -> list[InputFile]:
        """Delete a request with the images it made; returns its input files."""
        files = list(self.inputs(request_id).values())
        self._session.execute(delete(RequestRow).where(RequestRow.id == request_id))
        return files

    def progress(self, request_id: int, step: int, num_steps: int) -> bool:
        """Note how far it is; False when it should stop: cancelled, or deleted."""
        change = (
            update(RequestRow)
            .where(RequestRow.id == request_id, RequestRow.state == JobState.RUNNING)
            .values(step=step, num_steps=num_steps)
        )
        return self._session.scalar(change.returning(RequestRow.id)) is not None

    def end(self, request_id: int, to: JobState, *, error: str | None = None) -> bool:
        """Move it to a final state; False when it has its end already, or is gone."""
        return self._move(request_id, to, error)

    def cancel(self, request_id: int) -> None:
        """Stop it before its next denoiser call.

        Raises:
            JobStateError: it has come to an end already.
        """
        self.move(request_id, JobState.CANCELLED)

    def move(self, request_id: int, to: JobState, *, error: str | None = None) -> None:
        """Change the state if the move is legal; a final state is never overwritten.

        Raises:
            JobStateError: the request's state does not allow the move.
        """
        if not self._move(request_id, to, error):
            state = self.get(request_id).state
            raise JobStateError(f"Sample request {request_id} is {state}; it cannot become {to}.")

    def _move(self, request_id: int, to: JobState, error: str | None) -> bool:
        change = update(RequestRow).where(
            RequestRow.id == request_id, RequestRow.state.in_(states_before(to))
        )
        changed = change.values(state=to, error=error).returning(RequestRow.id)
        return self._session.scalar(changed) is not None
