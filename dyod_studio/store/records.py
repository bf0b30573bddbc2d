"""Frozen copies of rows, as the layers above are given them, and the states of a job."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self


class JobState(StrEnum):
    """Where a job or a sample request stands; NEXT_STATES lists the legal moves."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


NEXT_STATES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset(
        {JobState.RUNNING, JobState.PAUSED, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.RUNNING: frozenset(
        {
            JobState.SUCCEEDED,
            JobState.FAILED,
            JobState.CANCELLED,
            JobState.PAUSED,
            JobState.QUEUED,
        }
    ),
    JobState.PAUSED: frozenset({JobState.QUEUED, JobState.CANCELLED}),
}
"""Legal moves. A state that is not a key is final. A running job is queued again when it died."""


def states_before(target: JobState) -> list[JobState]:
    """The states from which ``target`` may be reached in one move."""
    return [state for state, targets in NEXT_STATES.items() if target in targets]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """The process that a row belongs to: on its host, pid and start tell it from all others.

    Args:
        host: as ``jobs.devices.host_name`` tells it.
        pid: None while a worker has claimed a job and not named its process yet.
        started_at: seconds since the epoch.
    """

    host: str | None
    pid: int | None
    started_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Copy of a row; ``id`` is 0 for one that is not stored yet."""

    id: int = 0
    created_at: datetime = field(default_factory=utc_now)

    @classmethod
    def of(cls, row: Any) -> Self:
        """The record of a table's row."""
        return cls(**{column.name: getattr(row, column.name) for column in fields(cls)})

    def columns(self) -> dict[str, Any]:
        """Values of a new row, by the names of its columns."""
        return {column.name: getattr(self, column.name) for column in fields(self)[1:]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Project(Record):
    """A designer's project: owns its pictures, jobs, trained parts and generated images.

    Args:
        base: what ``models.loading.load_base`` takes: ``starter``, a folder, a hub id, a file.
        token: the placeholder token that stands for the set, such as ``<toy-heads>``.
        crop_mode: what is learned of pictures that are no squares.
    """

    name: str
    base: str
    token: str
    rights_confirmed_at: datetime | None = None
    crop_mode: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture(Record):
    """A picture of the set as it was given; the crop is in pixels after EXIF rotation.

    One that is left out stays with the project, but nothing learns from it.
    """

    project_id: int
    name: str
    sha256: str
    phash: str
    suffix: str
    width: int
    height: int
    crop_left: int
    crop_top: int
    crop_side: int
    thumbnail_sha256: str
    caption: str | None = None
    sharpness: float | None = None
    ground: str | None = None
    repeats_sha256: str | None = None
    is_left_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Record):
    """One background run, as it stood when it was read; ``tables.JobRow`` says what is what."""

    project_id: int
    kind: str
    state: JobState
    place: int
    config: Mapping[str, Any]
    continues_job_id: int | None
    start_step: int | None
    is_finish_only: bool
    adjustments: Mapping[str, Any]
    step: int
    num_steps: int
    loss: float | None
    samples_per_s: float | None
    peak_memory_mb: float | None
    seconds_left: float | None
    error: str | None
    remedy: str | None
    notes: list[str]
    log_tail: str
    cancel_requested: bool
    pause_requested: bool
    save_requested: bool
    sample_requested: bool
    host: str | None
    device: str | None
    pid: int | None
    pid_started_at: float | None
    heartbeat_at: datetime | None
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def owner(self) -> ProcessIdentity:
        """The process that runs it. One that was given up for dead owns it no longer."""
        return ProcessIdentity(self.host, self.pid, self.pid_started_at)


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture (PNG) that a running job shows of its progress."""

    step: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """Measurement of what a method needs on a device; seconds are a step's, a preview's, ..."""

    key: str
    peak_memory_mb: float
    setup_s: float
    step_s: float
    preview_s: float | None
    checkpoint_s: float | None
    num_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact(Record):
    """A trained part of a project's model (.safetensors)."""

    project_id: int
    job_id: int | None
    kind: str
    sha256: str
    bytes: int
    base_fingerprint: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRequest(Record):
    """A request to the sampler. ``step`` counts finished denoiser calls."""

    project_id: int
    kind: str
    parameters: dict[str, Any]
    state: JobState
    step: int
    num_steps: int
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord(Record):
    """A generated image (PNG); ``parameters`` make it again."""

    project_id: int
    kind: str
    parameters: dict[str, Any]
    seed: int
    sha256: str
    thumbnail_sha256: str
    width: int
    height: int

    def image(self) -> dict[str, Any]:
        """Values that the image has wherever it is kept."""
        return {column.name: getattr(self, column.name) for column in fields(ImageRecord)[2:]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation(ImageRecord):
    """An image of the gallery."""

    request_id: int
    position: int
    is_favorite: bool = False
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame(ImageRecord):
    """An image of a strip, by the hash ``key`` of everything that decides it."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmark(Record):
    """A latent point of one trained VAE that a person wants to come back to.

    ``settings``: where it lies and how it is drawn: origin, values by rank, seed, t0, parts, ...
    """

    project_id: int
    name: str
    vae_sha256: str
    settings: dict[str, Any]
    sha256: str
    thumbnail_sha256: str
