"""Requests to the sampler with how far they are, and the gallery of the images that they made."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, select, update
from sqlalchemy.orm import Session

from dyod_studio.errors import JobStateError, NotFoundError
from dyod_studio.store.records import (
    NEXT_STATES,
    Generation,
    JobState,
    ProcessIdentity,
    StoredRequest,
    states_before,
    utc_now,
)
from dyod_studio.store.tables import GenerationPart, GenerationRow, RequestInput, RequestRow


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


MAX_WORDS = 500
"""Characters of an image's texts that can be searched."""
IDS_A_QUERY = 500


@dataclass(frozen=True, slots=True)
class GalleryQuery:
    """Which images are asked for; what is None or empty lets every image pass.

    ``part`` is the SHA-256 of a trained part; ``since`` and ``until`` are moments, the second one
    no longer within; ``text`` stands somewhere in what was written for the image, or is its seed.
    """

    kinds: tuple[str, ...] = ()
    part: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    only_favorites: bool = False
    text: str = ""
    is_deleted: bool = False


EVERYTHING = GalleryQuery()


class GenerationRepository:
    """Reads and writes generations in the session it is given; the caller commits."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, generation: Generation) -> Generation:
        """Add an image, with what it will be searched by."""
        row = GenerationRow(**generation.columns(), words=words_of(generation.parameters))
        self._session.add(row)
        self._session.flush()
        for kind, sha256 in dict(generation.parameters.get("artifacts") or {}).items():
            part = GenerationPart(generation_id=row.id, kind=kind, sha256=sha256)
            self._session.add(part)
        self._session.flush()
        return Generation.of(row)

    def get(self, generation_id: int) -> Generation:
        generation = self._session.get(GenerationRow, generation_id, populate_existing=True)
        if generation is None:
            raise NotFoundError(f"There is no generated image {generation_id}.")
        return Generation.of(generation)

    def of_ids(self, project_id: int, ids: Sequence[int]) -> list[Generation]:
        """These images of the project, in the order of ``ids``.

        Raises:
            NotFoundError: one of them is not there.
        """
        found: dict[int, Generation] = {}
        for first in range(0, len(ids), IDS_A_QUERY):
            some = GenerationRow.id.in_(ids[first : first + IDS_A_QUERY])
            chosen = select(GenerationRow).where(some, GenerationRow.project_id == project_id)
            found |= {row.id: Generation.of(row) for row in self._session.scalars(chosen)}
        for generation_id in ids:
            if generation_id not in found:
                raise NotFoundError(f"This project has no generated image {generation_id}.")
        return [found[generation_id] for generation_id in ids]

    def page(
        self, project_id: int, *, offset: int = 0, limit: int = 60, query: GalleryQuery = EVERYTHING
    ) -> list[Generation]:
        """Some of the project's images, the newest first."""
        ids = self.ids(project_id, offset=offset, limit=limit, query=query)
        return self.of_ids(project_id, ids)

    def ids(
        self,
        project_id: int,
        *,
        offset: int = 0,
        limit: int | None = None,
        query: GalleryQuery = EVERYTHING,
    ) -> list[int]:
        """Their ids alone, the newest first: read from the index, the images are not touched."""
        chosen = _filtered(select(GenerationRow.id), project_id, query)
        newest_first = chosen.order_by(GenerationRow.created_at.desc(), GenerationRow.id.desc())
        return list(self._session.scalars(newest_first.offset(offset).limit(limit)))

    def count(self, project_id: int, query: GalleryQuery = EVERYTHING) -> int:
        chosen = _filtered(select(func.count(GenerationRow.id)), project_id, query)
        return self._session.execute(chosen).scalar_one()

    def of_request(self, request_id: int) -> list[Generation]:
        """Images of one request, in the order of their positions."""
        chosen = select(GenerationRow).where(GenerationRow.request_id == request_id)
        rows = self._session.scalars(chosen.order_by(GenerationRow.position))
        return [Generation.of(row) for row in rows]

    def by_sha256(self, sha256: str) -> Generation | None:
        """The newest image of these very bytes, in any project."""
        chosen = select(GenerationRow).where(GenerationRow.sha256 == sha256)
        row = self._session.scalars(chosen.order_by(GenerationRow.id.desc()).limit(1)).one_or_none()
        return None if row is None else Generation.of(row)

    def kinds(self, project_id: int) -> list[str]:
        """Which kinds of image the project has, in alphabetical order."""
        chosen = select(GenerationRow.kind).where(GenerationRow.project_id == project_id).distinct()
        return list(self._session.scalars(chosen.order_by(GenerationRow.kind)))

    def parts(self, project_id: int) -> list[tuple[str, str]]:
        """(kind, SHA-256) of every trained part that its images were drawn with."""
        chosen = select(GenerationPart.kind, GenerationPart.sha256).distinct()
        joined = chosen.join(GenerationRow, GenerationRow.id == GenerationPart.generation_id)
        rows = self._session.execute(joined.where(GenerationRow.project_id == project_id))
        return sorted((kind, sha256) for kind, sha256 in rows)

    def set_favorite(self, project_id: int, ids: Collection[int], is_favorite: bool) -> None:
        self._change(project_id, ids, is_favorite=is_favorite)

    def set_deleted(self, project_id: int, ids: Collection[int], is_deleted: bool) -> None:
        """Into the bin, or out of it again."""
        self._change(project_id, ids, deleted_at=utc_now() if is_deleted else None)

    def _change(self, project_id: int, ids: Collection[int], **values: Any) -> None:
        """All of them, or none where one is not there."""
        ordered = list(ids)
        self.of_ids(project_id, ordered)
        for first in range(0, len(ordered), IDS_A_QUERY):
            some = GenerationRow.id.in_(ordered[first : first + IDS_A_QUERY])
            self._session.execute(update(GenerationRow).where(some).values(**values))


def words_of(parameters: dict[str, Any]) -> str:
    """Texts that were written for an image, in small letters."""
    texts = (parameters.get("prompt"), parameters.get("condition_text"))
    return " ".join(text for text in texts if isinstance(text, str)).lower()[:MAX_WORDS]


def _filtered(chosen: Select[Any], project_id: int, query: GalleryQuery) -> Select[Any]:
    in_bin = GenerationRow.deleted_at.is_not(None)
    conditions: list[ColumnElement[bool]] = [
        GenerationRow.project_id == project_id,
        in_bin if query.is_deleted else GenerationRow.deleted_at.is_(None),
    ]
    if query.kinds:
        conditions.append(GenerationRow.kind.in_(query.kinds))
    if query.since is not None:
        conditions.append(GenerationRow.created_at >= query.since)
    if query.until is not None:
        conditions.append(GenerationRow.created_at < query.until)
    if query.only_favorites:
        conditions.append(GenerationRow.is_favorite.is_(True))
    if query.part is not None:
        drawn = select(GenerationPart.generation_id).where(GenerationPart.sha256 == query.part)
        conditions.append(GenerationRow.id.in_(drawn))
    if text := query.text.strip().lower():
        conditions.append(_text_matches(text))
    return chosen.where(*conditions)


def _text_matches(text: str) -> ColumnElement[bool]:
    """The text stands in the words; a number may be the seed or the image's own as well."""
    matches = GenerationRow.words.contains(text, autoescape=True)
    if text.isascii() and text.isdigit() and len(text) < 19:
        return matches | (GenerationRow.seed == int(text)) | (GenerationRow.id == int(text))
    return matches
