"""The tables. Migrations bring a database to this shape."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Enum,
    ForeignKey,
    Index,
    MetaData,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dyod_studio.store.database import UtcDateTime
from dyod_studio.store.records import JobState, utc_now


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
        list[str]: JSON,
        JobState: Enum(
            JobState,
            native_enum=False,
            length=16,
            values_callable=lambda states: [state.value for state in states],
        ),
    }


AUTOINCREMENT = {"sqlite_autoincrement": True}
"""No id is ever given twice: what still runs for a deleted row must not find a new one there."""


class ProjectRow(Base):
    """A designer's project: owns its pictures, jobs, trained parts and generated images."""

    __tablename__ = "projects"
    __table_args__ = (AUTOINCREMENT,)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    base: Mapped[str]
    """What ``models.loading.load_base`` takes: ``starter``, a folder, a hub id, a file."""
    token: Mapped[str]
    """The placeholder token that stands for the set, such as ``<toy-heads>``."""
    rights_confirmed_at: Mapped[datetime | None]
    crop_mode: Mapped[str] = mapped_column(default="auto")
    """What is learned of pictures that are no squares: ``requests.cropping.CropMode``."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class PictureRow(Base):
    """A picture of the set as it was given; the crop is in pixels after EXIF rotation.

    One that is left out stays with the project, but nothing learns from it.
    """

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
    sharpness: Mapped[float | None]
    ground: Mapped[str | None]
    repeats_sha256: Mapped[str | None]
    is_left_out: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class JobRow(Base):
    """One background run. ``step`` counts finished optimiser updates."""

    __tablename__ = "jobs"
    __table_args__ = (AUTOINCREMENT,)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    kind: Mapped[str]
    state: Mapped[JobState] = mapped_column(default=JobState.QUEUED, index=True)
    place: Mapped[int] = mapped_column(default=0)
    """Where it stands in the queue: the lowest is taken first."""
    config: Mapped[dict[str, Any]]
    continues_job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    """The job whose checkpoint this one begins from."""
    start_step: Mapped[int | None]
    """The step of that checkpoint; None begins from the newest."""
    is_finish_only: Mapped[bool] = mapped_column(default=False)
    """Make no step: turn that checkpoint into the trained part."""
    adjustments: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What was changed so that the run fits into memory."""
    step: Mapped[int] = mapped_column(default=0)
    num_steps: Mapped[int]
    loss: Mapped[float | None]
    samples_per_s: Mapped[float | None]
    peak_memory_mb: Mapped[float | None]
    seconds_left: Mapped[float | None]
    error: Mapped[str | None] = mapped_column(Text)
    remedy: Mapped[str | None] = mapped_column(Text)
    """What a person can do about the error, in one sentence."""
    notes: Mapped[list[str]] = mapped_column(default=list)
    """What happened on the way, a sentence each: put back, made smaller, a preview that failed."""
    log_tail: Mapped[str] = mapped_column(Text, default="")
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    pause_requested: Mapped[bool] = mapped_column(default=False)
    save_requested: Mapped[bool] = mapped_column(default=False)
    sample_requested: Mapped[bool] = mapped_column(default=False)
    host: Mapped[str | None]
    """The machine whose worker took it up last."""
    device: Mapped[str | None]
    """The device it runs on, or ran on last; one job a device at a time."""
    pid: Mapped[int | None]
    pid_started_at: Mapped[float | None]
    """Start of the process in seconds since the epoch: with the pid, its identity."""
    heartbeat_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    """How often it was started since a person last asked for it."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class CalibrationRow(Base):
    """Measurement of what a method needs on a device; seconds are a step's, a preview's, ..."""

    __tablename__ = "calibrations"
    __table_args__ = (
        UniqueConstraint("device", "base_fingerprint", "method", "resolution", "key"),
        AUTOINCREMENT,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    device: Mapped[str]
    """The kind of device, such as ``NVIDIA GeForce GTX 1080 Ti``."""
    base_fingerprint: Mapped[str]
    method: Mapped[str]
    resolution: Mapped[int]
    key: Mapped[str] = mapped_column(Text)
    """Canonical JSON of the settings that memory and time depend on."""
    peak_memory_mb: Mapped[float]
    setup_s: Mapped[float]
    step_s: Mapped[float]
    preview_s: Mapped[float | None]
    checkpoint_s: Mapped[float | None]
    num_samples: Mapped[int]
    """How many measurements went in."""
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)


class PreviewRow(Base):
    """A picture that a running job shows of its progress (PNG)."""

    __tablename__ = "previews"
    __table_args__ = (AUTOINCREMENT,)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    step: Mapped[int]
    sha256: Mapped[str] = mapped_column(index=True)


class ArtifactRow(Base):
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


class RequestRow(Base):
    """Request to the sampler. ``step`` counts finished denoiser calls."""

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
    host: Mapped[str | None]
    """The machine of the process that asked for it."""
    pid: Mapped[int | None]
    pid_started_at: Mapped[float | None]
    """Start of that process in seconds since the epoch: with the pid, its identity."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class RequestInput(Base):
    """A file that a request starts from, so that it is kept as long as the request."""

    __tablename__ = "request_inputs"

    request_id: Mapped[int] = mapped_column(
        ForeignKey("sample_requests.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(primary_key=True)
    """What the picture is for: ``image``, ``region``, ``a``, ``b``, ``condition``, ..."""
    sha256: Mapped[str] = mapped_column(index=True)
    suffix: Mapped[str]


GALLERY_ORDER = ("project_id", "deleted_at", "created_at", "id")
GALLERY_SEARCH = ("kind", "is_favorite", "seed", "words")
"""What the gallery's index holds: how it is walked, and what it is searched by."""


class GenerationRow(Base):
    """One generated image (PNG); ``parameters`` make it again."""

    __tablename__ = "generations"
    __table_args__ = (
        Index("ix_generations_gallery", *GALLERY_ORDER, *GALLERY_SEARCH),
        AUTOINCREMENT,
    )

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
    words: Mapped[str] = mapped_column(default="")
    """What a person may search for, in small letters."""
    deleted_at: Mapped[datetime | None]
    """Since when it lies in the bin; None for an image that is in sight."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class GenerationPart(Base):
    """A trained part that an image was drawn with; the part itself may be gone."""

    __tablename__ = "generation_parts"
    __table_args__ = (Index("ix_generation_parts_sha256", "sha256", "generation_id"),)

    generation_id: Mapped[int] = mapped_column(
        ForeignKey("generations.id", ondelete="CASCADE"), primary_key=True
    )
    kind: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]


class FrameRow(Base):
    """A picture of a strip, kept so that it need not be drawn again; the gallery lists it not."""

    __tablename__ = "frames"
    __table_args__ = (UniqueConstraint("project_id", "key"), AUTOINCREMENT)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    key: Mapped[str]
    """Hash of everything that decides the picture."""
    kind: Mapped[str]
    parameters: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(index=True)
    thumbnail_sha256: Mapped[str] = mapped_column(index=True)
    width: Mapped[int]
    height: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class TraitName(Base):
    """Name that a person gave one coordinate of one trained VAE."""

    __tablename__ = "trait_names"

    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    vae_sha256: Mapped[str] = mapped_column(primary_key=True)
    rank: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]


class BookmarkRow(Base):
    """A place among the codes of one trained VAE that a person wants to come back to."""

    __tablename__ = "places"
    __table_args__ = (UniqueConstraint("project_id", "name"), AUTOINCREMENT)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    vae_sha256: Mapped[str]
    settings: Mapped[dict[str, Any]]
    """Where it lies and how it is drawn: origin, values by rank, seed, t0, parts, ..."""
    sha256: Mapped[str] = mapped_column(index=True)
    thumbnail_sha256: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
