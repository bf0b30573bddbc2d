"""Views for the page and the command line: frozen copies, never database rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from dyod_studio.datasets.outcomes import DuplicateFile, RejectedFile
from dyod_studio.evaluation.plan import EVALUATION as EVALUATION
from dyod_studio.requests.part_kinds import IMPORTED_FROM, default_parts
from dyod_studio.requests.sampling import AnyRequest
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.database import Session
from dyod_studio.store.files import PNG, WEBP
from dyod_studio.store.jobs import WAITING, JobRepository
from dyod_studio.store.projects import PictureRepository, ProjectRepository
from dyod_studio.store.records import Artifact, Generation, Job, JobState, Picture, Project
from dyod_studio.store.storage import Storage


@dataclass(frozen=True, slots=True)
class ProjectView:
    """One project. ``artifacts`` names the kinds that are trained, ``default_parts`` those that
    are used where none are named, ``imported`` those made elsewhere; ``cover`` is a thumbnail.
    """

    id: int
    name: str
    base: str
    token: str
    num_pictures: int
    artifacts: tuple[str, ...]
    default_parts: tuple[str, ...]
    imported: tuple[str, ...]
    cover: Path | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PictureView:
    """One picture of the set; width and height are those of the original, in pixels."""

    id: int
    name: str
    thumbnail: Path
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Outcome of the files that were dropped in."""

    accepted: int
    rejected: tuple[RejectedFile, ...]
    duplicates: tuple[DuplicateFile, ...]


@dataclass(frozen=True, slots=True)
class ArtifactView:
    """A trained part. ``kind`` is the method's name; ``bytes`` the size of its file."""

    kind: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class JobView:
    """One background run. ``step`` counts finished updates; ``previews`` are the newest ones.

    ``place`` is its place among those that wait, from 1; ``asked`` names what a running job has
    been asked for and has not done yet; ``can`` names what may be asked of it now.
    """

    id: int
    project_id: int
    kind: str
    state: str
    step: int
    num_steps: int
    loss: float | None
    seconds_left: float | None
    error: str | None
    log_tail: str
    previews: tuple[Path, ...]
    artifacts: tuple[ArtifactView, ...]
    created_at: datetime
    project: str = ""
    remedy: str | None = None
    notes: tuple[str, ...] = ()
    place: int | None = None
    attempts: int = 0
    asked: tuple[str, ...] = ()
    can: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    samples_per_s: float | None = None
    peak_memory_mb: float | None = None
    device: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    continues_job_id: int | None = None
    start_step: int | None = None
    is_finish_only: bool = False

    @property
    def is_final(self) -> bool:
        return self.state in {"succeeded", "failed", "cancelled"}


@dataclass(frozen=True, slots=True)
class CheckpointView:
    """A saved state of a run. ``loss`` is the mean since the state before it.

    ``previews`` are made with the same seeds in every state; ``is_kept``: a person asked for it.
    """

    step: int
    loss: float | None
    previews: tuple[Path, ...]
    is_best: bool
    is_kept: bool
    saved_at: datetime


@dataclass(frozen=True, slots=True)
class PlanView:
    """Plan of what a run will take. ``is_estimate``: by formula, not yet measured on this machine.

    ``measures`` are sentences of what will be done to make it fit; ``advice`` is empty when
    nothing needs to be changed.
    """

    method: str
    device: str
    free_mb: float
    peak_memory_mb: float
    seconds: float
    is_estimate: bool
    fits: bool
    measures: tuple[str, ...]
    advice: str


FieldKind = Literal["int", "float", "str", "bool", "choice"]


@dataclass(frozen=True, slots=True)
class FieldView:
    """One setting of a method, enough to draw a form field for it."""

    name: str
    title: str
    help: str
    kind: FieldKind
    default: Any
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MethodView:
    """A training method: what it is for in one sentence, for how many pictures, what it costs.

    ``is_baseline``: it is there to be compared with, not to be used.
    """

    name: str
    title: str
    summary: str
    fields: tuple[FieldView, ...]
    num_pictures: str = ""
    cost: str = ""
    is_baseline: bool = False


@dataclass(frozen=True, slots=True)
class RecommendationView:
    """Methods to train, in this order, and why; none when nothing would come of it."""

    methods: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CoordinateView:
    """A coordinate of the initial VAE's code; ``kl`` is its mean KL in nats.

    ``rank`` 0 tells the pictures apart most; ``index`` is its place in the code.
    """

    rank: int
    index: int
    kl: float


@dataclass(frozen=True, slots=True)
class GenerationView:
    """A picture that was made, with every parameter needed to make it again."""

    id: int
    kind: str
    file: Path
    thumbnail: Path
    seed: int
    sha256: str
    parameters: dict[str, Any]
    width: int
    height: int
    created_at: datetime
    is_favorite: bool


Screen = Literal["studio", "explore"]
Source = Literal["dyod", "invokeai", "a1111"]


@dataclass(frozen=True, slots=True, eq=False)
class Provenance:
    """How a picture was made: its request, and what of it this storage has.

    Each is like no other: pressing Again twice fills the screen twice.

    ``request`` is the one that the page fills and the sampler reads; its ``seed`` is that of the
    first picture of the request, ``picture_seed`` that of the picture itself. Of its input files
    those are there that this storage still has. ``screen`` is the one that makes it. ``notes``
    say, a sentence each, what cannot stand as it stood.
    """

    project_id: int
    request: AnyRequest
    screen: Screen
    picture_seed: int
    generation_id: int | None = None
    source: Source = "dyod"
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class ExportReport:
    """The ZIP that was written."""

    file: Path
    num_files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report; ``remedy`` is empty when all is well."""

    name: str
    is_ok: bool
    detail: str
    remedy: str


def to_json(view: Any) -> Any:
    """A view as JSON-able values: paths and times become strings."""
    if is_dataclass(view):
        return {f.name: to_json(getattr(view, f.name)) for f in fields(view)}
    if isinstance(view, Mapping):
        return {key: to_json(value) for key, value in view.items()}
    if isinstance(view, list | tuple):
        return [to_json(item) for item in view]
    if isinstance(view, Path):
        return str(view)
    if isinstance(view, datetime):
        return view.isoformat()
    return view


BY_STATE: dict[JobState, tuple[str, ...]] = {
    JobState.QUEUED: ("pause", "move", "cancel"),
    JobState.RUNNING: ("pause", "save", "sample", "cancel"),
    JobState.PAUSED: ("resume", "move", "choose", "cancel"),
    JobState.SUCCEEDED: ("retry", "choose"),
    JobState.FAILED: ("retry", "choose"),
    JobState.CANCELLED: ("retry", "choose"),
}
OF_TRAINING = ("save", "sample", "choose")
"""What an evaluation cannot be asked for."""


def asked_of(job: Job) -> tuple[str, ...]:
    """Names of what a running job was asked for and has not done yet."""
    if job.state is not JobState.RUNNING:
        return ()
    flags = {
        "cancel": job.cancel_requested,
        "pause": job.pause_requested,
        "save": job.save_requested,
        "sample": job.sample_requested,
    }
    return tuple(name for name, is_asked in flags.items() if is_asked)


def possible_for(job: Job) -> tuple[str, ...]:
    """Names of what may be asked of the job now."""
    asked = asked_of(job)
    if "cancel" in asked:
        return ()
    left_out = (*asked, *_not_of(job))
    possible = tuple(name for name in BY_STATE[job.state] if name not in left_out)
    if job.is_finish_only and job.state is JobState.RUNNING:
        return ("cancel",)
    return ("resume", *possible) if "pause" in asked else possible


def _not_of(job: Job) -> tuple[str, ...]:
    """An evaluation is only asked for again while there is something left to measure."""
    if job.kind != EVALUATION:
        return ()
    return (*OF_TRAINING, "retry") if job.state is JobState.SUCCEEDED else OF_TRAINING


def project_view(storage: Storage, session: Session, row: Project) -> ProjectView:
    pictures = PictureRepository(session)
    first = pictures.page(row.id, offset=0, limit=1)
    newest = ArtifactRepository(session).newest(row.id)
    imported = [part.kind for part in newest if IMPORTED_FROM in part.config]
    return ProjectView(
        id=row.id,
        name=row.name,
        base=row.base,
        token=row.token,
        num_pictures=pictures.count(row.id),
        artifacts=tuple(part.kind for part in newest),
        default_parts=default_parts([part.kind for part in newest], imported),
        imported=tuple(imported),
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
