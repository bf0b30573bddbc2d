"""Database rows to views, in one place."""

from sqlalchemy.orm import Session

from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.files import PNG, WEBP
from dyod_studio.store.job_queue import WAITING
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.pictures import PictureRepository
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.store.storage import Storage
from dyod_studio.store.tables import Artifact, Generation, Job, Picture, Project
from dyod_studio.studio.actions import asked_of, possible_for
from dyod_studio.studio.views import (
    ArtifactView,
    GenerationView,
    JobView,
    PictureView,
    ProjectView,
)


def project_view(storage: Storage, session: Session, row: Project) -> ProjectView:
    pictures = PictureRepository(session)
    first = pictures.page(row.id, offset=0, limit=1)
    return ProjectView(
        id=row.id,
        name=row.name,
        base=row.base,
        token=row.token,
        num_pictures=pictures.count(row.id),
        artifacts=tuple(ArtifactRepository(session).kinds(row.id)),
        cover=storage.files.path(first[0].thumbnail_sha256, WEBP) if first else None,
        created_at=row.created_at,
    )


def picture_view(storage: Storage, row: Picture) -> PictureView:
    thumbnail = storage.files.path(row.thumbnail_sha256, WEBP)
    return PictureView(row.id, row.name, thumbnail, row.width, row.height)


def artifact_view(row: Artifact) -> ArtifactView:
    return ArtifactView(row.kind, row.sha256, row.bytes)


def job_view(storage: Storage, session: Session, row: Job) -> JobView:
    jobs = JobRepository(session)
    artifacts = ArtifactRepository(session).of_job(row.id)
    previews = jobs.latest_previews(row.id)
    return JobView(
        id=row.id,
        project_id=row.project_id,
        project=ProjectRepository(session).get(row.project_id).name,
        kind=row.kind,
        state=row.state.value,
        step=row.step,
        num_steps=row.num_steps,
        loss=row.loss,
        seconds_left=row.seconds_left,
        error=row.error,
        remedy=row.remedy,
        notes=tuple(row.notes),
        log_tail=row.log_tail,
        place=jobs.position(row.id) if row.state in WAITING else None,
        attempts=row.attempts,
        asked=asked_of(row),
        can=possible_for(row),
        settings=dict(row.config),
        previews=tuple(storage.files.path(preview.sha256, PNG) for preview in previews),
        artifacts=tuple(artifact_view(artifact) for artifact in artifacts),
        samples_per_s=row.samples_per_s,
        peak_memory_mb=row.peak_memory_mb,
        device=row.device,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        continues_job_id=row.continues_job_id,
        start_step=row.start_step,
        is_finish_only=row.is_finish_only,
    )


def generation_view(storage: Storage, row: Generation) -> GenerationView:
    return GenerationView(
        id=row.id,
        kind=row.kind,
        file=storage.files.path(row.sha256, PNG),
        thumbnail=storage.files.path(row.thumbnail_sha256, WEBP),
        seed=row.seed,
        sha256=row.sha256,
        parameters=dict(row.parameters),
        width=row.width,
        height=row.height,
        created_at=row.created_at,
        is_favorite=row.is_favorite,
    )
