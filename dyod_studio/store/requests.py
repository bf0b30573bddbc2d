"""What a person asked the sampler for, and how far it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from dyod_studio.errors import JobStateError, NotFoundError
from dyod_studio.store.tables import (
    NEXT_STATES,
    JobState,
    RequestInput,
    SampleRequest,
    states_before,
)


@dataclass(frozen=True, slots=True)
class InputFile:
    """A stored file that a request starts from. ``name``: ``image``, ``a`` or ``b``."""

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
    ) -> SampleRequest:
        """A queued request; its input files are kept as long as it is."""
        request = SampleRequest(
            project_id=project_id, kind=kind, parameters=dict(parameters), num_steps=num_steps
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
        return request

    def get(self, request_id: int) -> SampleRequest:
        """The request as it stands in the database now."""
        request = self._session.get(SampleRequest, request_id, populate_existing=True)
        if request is None:
            raise NotFoundError(f"There is no sample request {request_id}.")
        return request

    def inputs(self, request_id: int) -> dict[str, InputFile]:
        """The files it starts from, by their names."""
        chosen = select(RequestInput).where(RequestInput.request_id == request_id)
        return {
            row.name: InputFile(row.name, row.sha256, row.suffix)
            for row in self._session.scalars(chosen)
        }

    def is_open(self, request_id: int) -> bool:
        """Whether it is still there and has not come to an end."""
        chosen = select(SampleRequest.id).where(
            SampleRequest.id == request_id, SampleRequest.state.in_(list(NEXT_STATES))
        )
        return self._session.scalar(chosen) is not None

    def progress(self, request_id: int, step: int, num_steps: int) -> bool:
        """Note how far it is; False when it should stop: cancelled, or deleted."""
        change = (
            update(SampleRequest)
            .where(SampleRequest.id == request_id, SampleRequest.state == JobState.RUNNING)
            .values(step=step, num_steps=num_steps)
        )
        return self._session.scalar(change.returning(SampleRequest.id)) is not None

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
        change = update(SampleRequest).where(
            SampleRequest.id == request_id, SampleRequest.state.in_(states_before(to))
        )
        changed = change.values(state=to, error=error).returning(SampleRequest.id)
        if self._session.scalar(changed) is None:
            state = self.get(request_id).state
            raise JobStateError(f"Sample request {request_id} is {state}; it cannot become {to}.")
