"""Trained parts; the newest of each kind is the one in use."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from dyod_studio.errors import NotFoundError
from dyod_studio.store.files import StoredFile
from dyod_studio.store.records import Artifact, utc_now
from dyod_studio.store.tables import ArtifactRow


class ArtifactRepository:
    """Reads and writes artifacts in the session it is given; the caller commits."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        project_id: int,
        kind: str,
        file: StoredFile,
        *,
        base_fingerprint: str,
        config: Mapping[str, Any],
        job_id: int | None = None,
        created_at: datetime | None = None,
    ) -> Artifact:
        artifact = ArtifactRow(
            project_id=project_id,
            job_id=job_id,
            kind=kind,
            sha256=file.sha256,
            bytes=file.bytes,
            base_fingerprint=base_fingerprint,
            config=dict(config),
            created_at=created_at or utc_now(),
        )
        self._session.add(artifact)
        self._session.flush()
        return Artifact.of(artifact)

    def make_newest(self, artifact_id: int) -> Artifact:
        """Give a row a new number, so that it is the newest of its kind; nothing else changes.

        Raises:
            NotFoundError: there is no such artifact.
        """
        row = self._session.get(ArtifactRow, artifact_id)
        if row is None:
            raise NotFoundError(f"There is no trained part {artifact_id}.")
        moved = ArtifactRow(**Artifact.of(row).columns())
        self._session.delete(row)
        self._session.add(moved)
        self._session.flush()
        return Artifact.of(moved)

    def latest(self, project_id: int, kind: str) -> Artifact | None:
        """The newest of its kind, or None when the project has none."""
        chosen = select(ArtifactRow).where(
            ArtifactRow.project_id == project_id, ArtifactRow.kind == kind
        )
        newest = self._session.scalars(
            chosen.order_by(ArtifactRow.id.desc()).limit(1)
        ).one_or_none()
        return None if newest is None else Artifact.of(newest)

    def by_sha256(self, project_id: int, sha256: str) -> Artifact:
        chosen = select(ArtifactRow).where(
            ArtifactRow.project_id == project_id, ArtifactRow.sha256 == sha256
        )
        found = self._session.scalars(chosen.order_by(ArtifactRow.id.desc()).limit(1)).one_or_none()
        if found is None:
            raise NotFoundError(f"This project has no trained part {sha256}.")
        return Artifact.of(found)

    def kinds(self, project_id: int) -> list[str]:
        """Which kinds the project has, in alphabetical order."""
        chosen = select(ArtifactRow.kind).where(ArtifactRow.project_id == project_id).distinct()
        return list(self._session.scalars(chosen.order_by(ArtifactRow.kind)))

    def newest(self, project_id: int) -> list[Artifact]:
        """The newest artifact of each kind, by the kinds' names."""
        newest = {row.kind: row for row in self.of_project(project_id)}
        return [newest[kind] for kind in sorted(newest)]

    def of_project(self, project_id: int) -> list[Artifact]:
        """Every artifact of the project, the oldest first."""
        chosen = select(ArtifactRow).where(ArtifactRow.project_id == project_id)
        return [Artifact.of(row) for row in self._session.scalars(chosen.order_by(ArtifactRow.id))]

    def of_job(self, job_id: int) -> list[Artifact]:
        chosen = select(ArtifactRow).where(ArtifactRow.job_id == job_id).order_by(ArtifactRow.id)
        return [Artifact.of(row) for row in self._session.scalars(chosen)]
