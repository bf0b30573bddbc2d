"""Trained parts; the newest of each kind is the one in use."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from dyod_studio.errors import NotFoundError
from dyod_studio.store.files import StoredFile
from dyod_studio.store.tables import Artifact


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
    ) -> Artifact:
        artifact = Artifact(
            project_id=project_id,
            job_id=job_id,
            kind=kind,
            sha256=file.sha256,
            bytes=file.bytes,
            base_fingerprint=base_fingerprint,
            config=dict(config),
        )
        self._session.add(artifact)
        self._session.flush()
        return artifact

    def make_newest(self, artifact_id: int) -> Artifact:
        """Give a row a new number, so that it is the newest of its kind; nothing else changes.

        Raises:
            NotFoundError: there is no such artifact.
        """
        row = self._session.get(Artifact, artifact_id)
        if row is None:
            raise NotFoundError(f"There is no trained part {artifact_id}.")
        moved = Artifact(
            project_id=row.project_id,
            job_id=row.job_id,
            kind=row.kind,
            sha256=row.sha256,
            bytes=row.bytes,
            base_fingerprint=row.base_fingerprint,
            config=row.config,
            created_at=row.created_at,
        )
        self._session.delete(row)
        self._session.add(moved)
        self._session.flush()
        return moved

    def latest(self, project_id: int, kind: str) -> Artifact | None:
        """The newest of its kind, or None when the project has none."""
        chosen = select(Artifact).where(Artifact.project_id == project_id, Artifact.kind == kind)
        return self._session.scalars(chosen.order_by(Artifact.id.desc()).limit(1)).one_or_none()

    def by_sha256(self, project_id: int, sha256: str) -> Artifact:
        chosen = select(Artifact).where(
            Artifact.project_id == project_id, Artifact.sha256 == sha256
        )
        found = self._session.scalars(chosen.order_by(Artifact.id.desc()).limit(1)).one_or_none()
        if found is None:
            raise NotFoundError(f"This project has no trained part {sha256}.")
        return found

    def kinds(self, project_id: int) -> list[str]:
        """Which kinds the project has, in alphabetical order."""
        chosen = select(Artifact.kind).where(Artifact.project_id == project_id).distinct()
        return list(self._session.scalars(chosen.order_by(Artifact.kind)))

    def of_project(self, project_id: int) -> list[Artifact]:
        """Every artifact of the project, the oldest first."""
        chosen = select(Artifact).where(Artifact.project_id == project_id)
        return list(self._session.scalars(chosen.order_by(Artifact.id)))

    def of_job(self, job_id: int) -> list[Artifact]:
        chosen = select(Artifact).where(Artifact.job_id == job_id).order_by(Artifact.id)
        return list(self._session.scalars(chosen))
