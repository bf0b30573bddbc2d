"""The tables, and how values are kept in them. Migrations bring a database to this shape."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    MetaData,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class JobState(StrEnum):
    """Where a job or a sample request stands; NEXT_STATES lists the legal moves."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


NEXT_STATES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.FAILED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}),
}
"""Legal moves. A state that is not a key is final."""


def states_before(target: JobState) -> list[JobState]:
    """The states from which ``target`` may be reached in one move."""
    return [state for state, targets in NEXT_STATES.items() if target in targets]


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in Python, naive UTC in the database: SQLite forgets time zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """Declarative base of every DYOD Studio table."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        JobState: Enum(
            JobState,
            native_enum=False,
            length=16,
            values_callable=lambda states: [state.value for state in states],
        ),
    }


AUTOINCREMENT = {"sqlite_autoincrement": True}
"""No id is ever given twice: what still runs for a deleted row must not find a new one there."""


class Project(Base):
    """A designer's project: owns its pictures, jobs, trained parts and generated images."""

    __tablename__ = "projects"
    __table_args__ = (AUTOINCREMENT,)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    base: Mapped[str]
    """What ``models.loading.load_base`` takes: ``starter``, a folder, a hub id, a file."""
    token: Mapped[str]
    """The placeholder token that stands for the set, such as ``<toy-heads>``."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Picture(Base):
    """A picture of the set as it was given; the crop is in pixels after EXIF rotation."""

    __tablename__ = "pictures"
    __table_args__ = (UniqueConstraint("project_id", "sha256"), AUTOINCREMENT)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    sha256: Mapped[str] = mapped_column(index=True)
    phash: Mapped[str]
    suffix: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    crop_left: Mapped[int]
    crop_top: Mapped[int]
    crop_side: Mapped[int]
    thumbnail_sha256: Mapped[str] = mapped_column(index=True)
    caption: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Job(Base):
    """One background run. ``step`` counts finished optimiser updates."""

    __tablename__ = "jobs"
    __table_args__ = (AUTOINCREMENT,)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    kind: Mapped[str]
    state: Mapped[JobState] = mapped_column(default=JobState.QUEUED, index=True)
    config: Mapped[dict[str, Any]]
    step: Mapped[int] = mapped_column(default=0)
    num_steps: Mapped[int]
    loss: Mapped[float | None]
    seconds_left: Mapped[float | None]
    error: Mapped[str | None] = mapped_column(Text)
    log_tail: Mapped[str] = mapped_column(Text, default="")
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    pid: Mapped[int | None]
    pid_started_at: Mapped[float | None]
    """Start of the process in seconds since the epoch: with the pid, its identity."""
    heartbeat_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Preview(Base):
    """A picture that a running job shows of its progress (PNG)."""

    __tablename__ = "previews"
    __table_args__ = (AUTOINCREMENT,)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    step: Mapped[int]
    sha256: Mapped[str] = mapped_column(index=True)


class Artifact(Base):
    """A trained part of a project's model (.safetensors)."""

    __tablename__ = "artifacts"
    __table_args__ = (AUTOINCREMENT,)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    job_id: Mapped[int | None] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), index=True
    )
    kind: Mapped[str]
    sha256: Mapped[str] = mapped_column(index=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    base_fingerprint: Mapped[str]
    config: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class SampleRequest(Base):
    """What a person asked the sampler for. ``step`` counts finished denoiser calls."""

    __tablename__ = "sample_requests"
    __table_args__ = (AUTOINCREMENT,)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    kind: Mapped[str]
    parameters: Mapped[dict[str, Any]]
    state: Mapped[JobState] = mapped_column(default=JobState.QUEUED)
    step: Mapped[int] = mapped_column(default=0)
    num_steps: Mapped[int]
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class RequestInput(Base):
    """A file that a request starts from, so that it is kept as long as the request."""

    __tablename__ = "request_inputs"

    request_id: Mapped[int] = mapped_column(
        ForeignKey("sample_requests.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(primary_key=True)
    """What the picture is for: ``image``, ``a`` or ``b``."""
    sha256: Mapped[str] = mapped_column(index=True)
    suffix: Mapped[str]


class Generation(Base):
    """One generated image (PNG); ``parameters`` make it again."""

    __tablename__ = "generations"
    __table_args__ = (AUTOINCREMENT,)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    request_id: Mapped[int] = mapped_column(
        ForeignKey("sample_requests.id", ondelete="CASCADE"), index=True
    )
    kind: Mapped[str]
    position: Mapped[int]
    parameters: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(index=True)
    thumbnail_sha256: Mapped[str] = mapped_column(index=True)
    width: Mapped[int]
    height: Mapped[int]
    is_favorite: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
