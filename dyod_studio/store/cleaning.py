"""Delete what a person no longer wants, and with it the files that no row names any more."""

import shutil
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from sqlalchemy import Select, delete, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from dyod_studio.errors import NotFoundError
from dyod_studio.store.files import PNG, SAFETENSORS, WEBP
from dyod_studio.store.records import JobState
from dyod_studio.store.storage import Storage
from dyod_studio.store.tables import (
    ArtifactRow,
    BookmarkRow,
    FrameRow,
    GenerationRow,
    JobRow,
    PictureRow,
    PreviewRow,
    ProjectRow,
    RequestInput,
    RequestRow,
)

NAMES_A_QUERY = 500


class FileName(NamedTuple):
    """Name of a stored file, as rows hold it."""

    sha256: str
    suffix: str


def delete_project(storage: Storage, project_id: int) -> None:
    """Delete a project with all it owns; files that another project names stay.

    A job that runs notices within a step that its row is gone and stops; its run folder is
    removed by the worker then.

    Raises:
        NotFoundError: there is no such project.
    """
    with storage.files.guard():
        with storage.database.session() as session:
            names = files_of_project(session, project_id)
            resting = select(JobRow.id).where(
                JobRow.project_id == project_id, JobRow.state != JobState.RUNNING
            )
            job_ids = list(session.scalars(resting))
            gone = delete(ProjectRow).where(ProjectRow.id == project_id).returning(ProjectRow.id)
            if session.scalar(gone) is None:
                raise NotFoundError(f"There is no project {project_id}.")
        remove_unreferenced(storage, names)
    for job_id in job_ids:
        shutil.rmtree(storage.run_dir(job_id), ignore_errors=True)


def purge_bin(storage: Storage, *, before: datetime) -> int:
    """Remove for good the images that were deleted before this moment; returns how many.

    A request that has no image left goes with them, and with it the files that it began from.
    """
    names: set[FileName] = set()
    with storage.files.guard():
        with storage.database.session() as session:
            old = select(GenerationRow).where(GenerationRow.deleted_at < before)
            rows = list(session.scalars(old))
            for row in rows:
                names |= {FileName(row.sha256, PNG), FileName(row.thumbnail_sha256, WEBP)}
                session.delete(row)
            session.flush()
            for request_id in {row.request_id for row in rows}:
                names |= _drop_request_without_images(session, request_id)
        remove_unreferenced(storage, names)
    return len(rows)


def _drop_request_without_images(session: Session, request_id: int) -> set[FileName]:
    """Delete the request unless it still has an image; returns the files it began from."""
    if session.scalar(
        select(GenerationRow.id).where(GenerationRow.request_id == request_id).limit(1)
    ):
        return set()
    inputs = select(RequestInput.sha256, RequestInput.suffix)
    named = session.execute(inputs.where(RequestInput.request_id == request_id))
    files = {FileName(*row) for row in named}
    session.execute(delete(RequestRow).where(RequestRow.id == request_id))
    return files


def remove_unreferenced(storage: Storage, names: Iterable[FileName]) -> None:
    """Remove those of the files that no row names."""
    with storage.files.guard(), storage.database.session() as session:
        for some in _batched(names):
            for sha256, suffix in some - _referenced(session, some):
                storage.files.remove(sha256, suffix)


def files_of_project(session: Session, project_id: int) -> set[FileName]:
    """Every stored file that the project's rows name."""
    queries = [
        _naming(PictureRow.sha256, PictureRow.suffix).where(PictureRow.project_id == project_id),
        _naming(PictureRow.thumbnail_sha256, WEBP).where(PictureRow.project_id == project_id),
        _naming(ArtifactRow.sha256, SAFETENSORS).where(ArtifactRow.project_id == project_id),
        _naming(GenerationRow.sha256, PNG).where(GenerationRow.project_id == project_id),
        _naming(GenerationRow.thumbnail_sha256, WEBP).where(GenerationRow.project_id == project_id),
        _naming(FrameRow.sha256, PNG).where(FrameRow.project_id == project_id),
        _naming(FrameRow.thumbnail_sha256, WEBP).where(FrameRow.project_id == project_id),
        _naming(BookmarkRow.sha256, PNG).where(BookmarkRow.project_id == project_id),
        _naming(BookmarkRow.thumbnail_sha256, WEBP).where(BookmarkRow.project_id == project_id),
        _naming(PreviewRow.sha256, PNG)
        .join(JobRow, JobRow.id == PreviewRow.job_id)
        .where(JobRow.project_id == project_id),
        _naming(RequestInput.sha256, RequestInput.suffix)
        .join(RequestRow, RequestRow.id == RequestInput.request_id)
        .where(RequestRow.project_id == project_id),
    ]
    return {FileName(*row) for query in queries for row in session.execute(query)}


def _referenced(session: Session, names: set[FileName]) -> set[FileName]:
    """Which of the names stand in any row."""
    hashes = [name.sha256 for name in names]
    columns: list[tuple[InstrumentedAttribute[str], InstrumentedAttribute[str] | str]] = [
        (PictureRow.sha256, PictureRow.suffix),
        (PictureRow.thumbnail_sha256, WEBP),
        (ArtifactRow.sha256, SAFETENSORS),
        (GenerationRow.sha256, PNG),
        (GenerationRow.thumbnail_sha256, WEBP),
        (FrameRow.sha256, PNG),
        (FrameRow.thumbnail_sha256, WEBP),
        (BookmarkRow.sha256, PNG),
        (BookmarkRow.thumbnail_sha256, WEBP),
        (PreviewRow.sha256, PNG),
        (RequestInput.sha256, RequestInput.suffix),
    ]
    queries = [_naming(sha256, suffix).where(sha256.in_(hashes)) for sha256, suffix in columns]
    return {FileName(*row) for query in queries for row in session.execute(query)}


def _naming(
    sha256: InstrumentedAttribute[str], suffix: InstrumentedAttribute[str] | str
) -> Select[str, str]:
    return select(sha256, literal(suffix) if isinstance(suffix, str) else suffix)


def _batched(names: Iterable[FileName]) -> Iterator[set[FileName]]:
    """The names in portions that fit into one query."""
    rest = iter(names)
    while some := set(islice(rest, NAMES_A_QUERY)):
        yield some
