"""Ask how close the model is to the set, look at what was found, take it along as a report."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from dyod_studio.errors import InvalidInputError
from dyod_studio.evaluation.advice import Advice, advise
from dyod_studio.evaluation.plan import (
    DEFAULT_VALUES,
    EVALUATION,
    EvaluationConfig,
    check_numbers,
    points_of,
    read_evaluation,
)
from dyod_studio.evaluation.results import read_errors, read_points
from dyod_studio.requests.sampling import default_t0
from dyod_studio.requests.validation import sentence_of
from dyod_studio.services.evaluation.report import write_reports
from dyod_studio.services.evaluation.summary import summary_of
from dyod_studio.services.evaluation.views import EvaluationSettings, EvaluationView, sweep_named
from dyod_studio.services.projects import Projects, choose_parts
from dyod_studio.services.runs import measured_again
from dyod_studio.services.views import JobView, ProjectView, job_view
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.database import Session
from dyod_studio.store.files import WEBP
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.projects import PictureRepository
from dyod_studio.store.records import Artifact, Job
from dyod_studio.store.storage import Storage

POLL_S = 0.3
SETTINGS = EvaluationSettings()


class Evaluation:
    """Evaluations, for the Evaluate screen, ``evaluate`` and the t0 slider."""

    def __init__(self, storage: Storage, projects: Projects) -> None:
        self._storage, self._projects = storage, projects

    def start(self, ref: int | str, settings: EvaluationSettings = SETTINGS) -> JobView:
        """Queue an evaluation; a worker takes it up.

        Raises:
            InvalidInputError: a setting, too few pictures, or a part that is not trained.
        """
        project = self._projects.get(ref)
        with self._storage.database.session() as session:
            check_numbers(settings.num, PictureRepository(session).count(project.id))
            config = _config(session, project, settings, self.advice(project.id))
            jobs = JobRepository(session)
            total = len(points_of(config)) * config.num
            row = jobs.add(project.id, EVALUATION, config.model_dump(mode="json"), total)
            return job_view(self._storage, session, jobs.get(row.id))

    def retry(self, job_id: int) -> JobView:
        """Queue an evaluation that failed or was stopped again; finished points are kept.

        Raises:
            NotFoundError: there is no such job.
            InvalidInputError: the job is no evaluation.
            JobStateError: it is not over, or is measured to its end.
        """
        self.get(job_id)
        with self._storage.database.session() as session:
            jobs = JobRepository(session)
            row = measured_again(self._storage, session, jobs.get(job_id))
            return job_view(self._storage, session, jobs.get(row.id))

    def all(self, ref: int | str) -> list[EvaluationView]:
        """A project's evaluations, the newest first."""
        project = self._projects.get(ref)
        with self._storage.database.session() as session:
            return [self._view(session, row) for row in _rows(session, project.id)]

    def get(self, job_id: int) -> EvaluationView:
        """One evaluation with what is measured of it so far.

        Raises:
            NotFoundError: there is no such job.
            InvalidInputError: the job is no evaluation.
        """
        with self._storage.database.session() as session:
            row = JobRepository(session).get(job_id)
            if row.kind != EVALUATION:
                raise InvalidInputError(f"Job {job_id} is a {row.kind}, no evaluation.")
            return self._view(session, row)

    def advice(self, ref: int | str) -> Advice | None:
        """The t0 that suits a project as it draws now; None until one is measured clearly."""
        project = self._projects.get(ref)
        with self._storage.database.session() as session:
            repository = ArtifactRepository(session)
            for row in _rows(session, project.id):
                config = read_evaluation(row.config)
                newest = {kind: repository.latest(project.id, kind) for kind in config.artifacts}
                now = {kind: part.sha256 for kind, part in newest.items() if part is not None}
                is_usual = config.codes == SETTINGS.codes and {*now} == {*project.default_parts}
                if config.sweep == "t0" and now == config.artifacts and is_usual:
                    run_dir = self._storage.run_dir(row.id)
                    found = advise(read_points(run_dir), read_errors(run_dir))
                    if found is not None and found.is_clear:
                        return found
        return None

    def report(self, job_id: int, folder: Path) -> list[Path]:
        """Write ``evaluation.html``, ``.pdf`` and ``.json``, each complete or not at all.

        Raises:
            InvalidInputError: nothing is measured yet.
        """
        view = self.get(job_id)
        if not view.points:
            raise InvalidInputError(f"Evaluation {job_id} has measured nothing yet: wait a little.")
        project = self._projects.get(view.job.project_id)
        return write_reports(view, project, self.originals(view), folder)

    def wait(self, job_id: int, on_progress: Callable[[JobView], None]) -> EvaluationView:
        """Return when the evaluation has come to an end, whichever."""
        view = self.get(job_id)
        while not view.job.is_final:
            on_progress(view.job)
            time.sleep(POLL_S)
            view = self.get(job_id)
        on_progress(view.job)
        return view

    def originals(self, view: EvaluationView) -> dict[int, Path]:
        """Thumbnails of the pictures of the set that made ones are like, by the ids of their rows.

        One that was removed meanwhile is left out.
        """
        shown = [s for p in view.points for s in (*p.best, *p.worst, *p.copies)]
        nearest_ids = {entry.nearest_id for entry in shown}
        with self._storage.database.session() as session:
            rows = PictureRepository(session).all(view.job.project_id)
            return {
                row.id: self._storage.files.path(row.thumbnail_sha256, WEBP)
                for row in rows
                if row.id in nearest_ids
            }

    def _view(self, session: Session, row: Job) -> EvaluationView:
        config = read_evaluation(row.config)
        run_dir = self._storage.run_dir(row.id)
        points = tuple(read_points(run_dir))
        advice = advise(points, read_errors(run_dir)) if config.sweep == "t0" else None
        return EvaluationView(
            job=job_view(self._storage, session, row),
            config=config,
            points=points,
            num_points=len(points_of(config)),
            summary=summary_of(config.sweep, points, advice),
            advice=advice,
        )


def _rows(session: Session, project_id: int) -> list[Job]:
    return [row for row in JobRepository(session).of_project(project_id) if row.kind == EVALUATION]


def _config(
    session: Session, project: ProjectView, settings: EvaluationSettings, advice: Advice | None
) -> EvaluationConfig:
    """The settings with nothing left open: a later training changes nothing of the measurement."""
    sweep_named(settings.sweep)
    needed = ("vae",) if settings.sweep == "t0" else ()
    parts = choose_parts(session, project, settings.use, needed=needed)
    if not parts:
        raise InvalidInputError(
            f"Project {project.name!r} has nothing trained yet that could be measured: train first."
        )
    anl = ArtifactRepository(session).latest(project.id, "anl")
    _check_sweep(project, settings, anl)
    usual = default_t0("distribution", project.base, parts) if advice is None else advice.t0
    compared = _compared(session, project, settings.compare) if settings.sweep == "artifact" else {}
    try:
        return EvaluationConfig(
            sweep=settings.sweep,
            values=tuple(settings.values) or DEFAULT_VALUES[settings.sweep],
            metrics=tuple(settings.metrics),
            num=settings.num,
            extractors=tuple(settings.extractors),
            text=settings.text,
            t0=usual if settings.t0 is None else settings.t0,
            guidance_scale=settings.guidance_scale,
            num_inference_steps=settings.num_inference_steps,
            codes=settings.codes,
            novelty=settings.novelty,
            timestep_spacing=settings.timestep_spacing,
            sampler=settings.sampler,
            seed=settings.seed,
            has_baselines=settings.has_baselines,
            artifacts={kind: row.sha256 for kind, row in parts.items()},
            compared=compared,
            anl=None if anl is None else anl.sha256,
            anl_hears=anl is None or _is_conditional(anl),
        )
    except ValidationError as exc:
        raise InvalidInputError(sentence_of(exc, EvaluationConfig)) from exc


def _check_sweep(project: ProjectView, settings: EvaluationSettings, anl: Artifact | None) -> None:
    if settings.sweep == "mask-rate" and (anl is None or not _is_conditional(anl)):
        raise InvalidInputError(
            f"Project {project.name!r} has no trained anl that draws after pictures: a mask rate "
            "is swept with one, so train 'anl' first."
        )
    if not settings.extractors:
        raise InvalidInputError("Name at least one extractor: 'base' is always there.")


def _compared(session: Session, project: ProjectView, kind: str) -> dict[str, str]:
    """SHA-256 of each trained part of the kind to what it is called, the oldest first."""
    rows: Sequence[Artifact] = [
        row for row in ArtifactRepository(session).of_project(project.id) if row.kind == kind
    ]
    if not rows:
        raise InvalidInputError(
            f"Project {project.name!r} has no trained {kind} to compare: train {kind!r} first."
        )
    return {
        row.sha256: f"{kind} {'made elsewhere' if row.job_id is None else f'of run {row.job_id}'}"
        for row in rows
    }


def _is_conditional(anl: Artifact) -> bool:
    return anl.config.get("variant") != "unconditional"
