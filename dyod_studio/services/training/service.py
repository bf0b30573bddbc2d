"""Start training, watch it, steer it, go on from what it left."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dyod_studio.errors import InvalidInputError
from dyod_studio.jobs.child import read_tail
from dyod_studio.jobs.metrics import LossReader
from dyod_studio.requests.part_kinds import title_of
from dyod_studio.services.runs import checkpoint_views, finish_of, retry_of
from dyod_studio.services.training.methods import (
    config_for,
    method_views,
    recommendation,
    resolve_token,
)
from dyod_studio.services.training.plan import measure_now, plan_for, running_here
from dyod_studio.services.training.report import Point, RunRecord, failure_text, write_report
from dyod_studio.services.views import (
    CheckpointView,
    JobView,
    MethodView,
    PlanView,
    RecommendationView,
    job_view,
)
from dyod_studio.settings import Settings
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.projects import PictureRepository, ProjectRepository
from dyod_studio.store.records import Job
from dyod_studio.store.storage import Storage

POLL_S = 0.3
NOTHING: Mapping[str, Any] = {}


class Training:
    """Training runs, for the Train screen, ``train`` and ``job``."""

    def __init__(self, storage: Storage, settings: Settings) -> None:
        self._storage, self._settings, self._losses = storage, settings, LossReader()

    def methods(self) -> list[MethodView]:
        """Every method with its settings, for forms."""
        return method_views()

    def recommend(self, ref: int | str) -> RecommendationView:
        """Recommend what to train next on this machine, in sentences a person can judge.

        Raises:
            NotFoundError: there is no such project.
        """
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            return recommendation(self._settings, session, project)

    def start(self, ref: int | str, method: str, values: Mapping[str, Any]) -> JobView:
        """Queue a run; a worker takes it up.

        Raises:
            InvalidInputError: unknown method, wrong setting, or a project without pictures.
        """
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            config = resolve_token(session, project, config_for(project.token, method, values))
            if not PictureRepository(session).count(project.id):
                raise InvalidInputError(
                    f"Project {project.name!r} has no pictures yet: add some first."
                )
            planned = plan_for(self._settings, session, project.base, method, config)
            jobs = JobRepository(session)
            row = jobs.add(
                project.id,
                method,
                config.model_dump(mode="json"),
                config.steps,
                adjustments=planned.changes,
            )
            for note in planned.plan.measures if planned.changes else ():
                jobs.add_note(row.id, note)
            return job_view(self._storage, session, jobs.get(row.id))

    def plan(
        self, ref: int | str, method: str, values: Mapping[str, Any], *, measure: bool = False
    ) -> PlanView:
        """Plan what a run with these settings will take; ``measure`` makes a few real steps first.

        Raises:
            InvalidInputError: what ``start`` would refuse.
            JobStateError: it shall be measured, but a run is training here.
        """
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            config = resolve_token(session, project, config_for(project.token, method, values))
        if measure:
            measure_now(self._settings, self._storage, project.id, method, config)
        with self._storage.database.session() as session:
            return plan_for(self._settings, session, project.base, method, config).view(method)

    def jobs(self, ref: int | str | None = None) -> list[JobView]:
        """Runs of a project, or all: what is open in its order, then what ended, newest first."""
        with self._storage.database.session() as session:
            jobs = JobRepository(session)
            if ref is None:
                projects = [project.id for project in ProjectRepository(session).all()]
            else:
                projects = [ProjectRepository(session).find(ref).id]
            open_rows = [row for row in jobs.queue() if row.project_id in projects]
            known = {row.id for row in open_rows}
            ended = [
                row for chosen in projects for row in jobs.of_project(chosen) if row.id not in known
            ]
            ended.sort(key=lambda row: -row.id)
            return [job_view(self._storage, session, row) for row in (*open_rows, *ended)]

    def queue(self) -> list[JobView]:
        """The runs of all projects that have not ended: what trains first, then as they wait."""
        with self._storage.database.session() as session:
            return [job_view(self._storage, session, row) for row in JobRepository(session).queue()]

    def is_busy(self) -> bool:
        """Whether a run is training on this machine's device now."""
        with self._storage.database.session() as session:
            return bool(running_here(self._settings, session))

    def job(self, job_id: int) -> JobView:
        """One run as it stands now.

        Raises:
            NotFoundError: there is no such job.
        """
        with self._storage.database.session() as session:
            return job_view(self._storage, session, JobRepository(session).get(job_id))

    def cancel(self, job_id: int) -> JobView:
        """Ask a run to stop: at once while it waits, within a step while it runs.

        Raises:
            JobStateError: it has come to an end already.
        """
        return self._change(lambda jobs: jobs.request_cancel(job_id))

    def pause(self, job_id: int) -> JobView:
        """Ask a run to save its state and rest; JobStateError when it cannot."""
        return self._change(lambda jobs: jobs.request_pause(job_id))

    def resume(self, job_id: int) -> JobView:
        """Queue a paused run again, at its old place; JobStateError when it is not paused."""
        return self._change(lambda jobs: jobs.resume(job_id))

    def save_now(self, job_id: int) -> JobView:
        """Ask a running run to save its state; JobStateError when it does not run."""
        return self._change(lambda jobs: jobs.request_save(job_id))

    def sample_now(self, job_id: int) -> JobView:
        """Ask a running run for preview pictures; JobStateError when it does not run."""
        return self._change(lambda jobs: jobs.request_sample(job_id))

    def move(self, job_id: int, place: int) -> JobView:
        """Give a waiting run another place, counted from 1; JobStateError when it waits not."""
        return self._change(lambda jobs: jobs.set_place(job_id, place))

    def checkpoints(self, job_id: int) -> list[CheckpointView]:
        """The states that a run has saved, in the order of their steps."""
        self.job(job_id)
        return checkpoint_views(self._storage.run_dir(job_id))

    def retry(
        self,
        job_id: int,
        step: int | None = None,
        *,
        fresh: bool = False,
        changes: Mapping[str, Any] = NOTHING,
    ) -> JobView:
        """Queue the same settings again: from the last or a chosen saved state, or afresh.

        Args:
            changes: settings that shall differ; of a run that goes on, those all methods share.

        Raises:
            InvalidInputError: there is no such state, nothing is left to train after it, or a
                change is wrong.
            JobStateError: the run has not come to an end.
        """
        with self._storage.database.session() as session:
            row = retry_of(self._storage, session, job_id, step, is_fresh=fresh, changes=changes)
            return job_view(self._storage, session, row)

    def choose(self, job_id: int, step: int | None = None) -> JobView:
        """Queue the making of a trained part from a saved state, by default of the lowest loss.

        Raises:
            InvalidInputError: there is no such state.
            JobStateError: the run is still going to save states.
        """
        with self._storage.database.session() as session:
            row = finish_of(self._storage, session, job_id, step)
            return job_view(self._storage, session, row)

    def losses(self, job_id: int) -> list[Point]:
        """(step, loss) of every finished update."""
        return self._losses.read(self._storage.metrics_path(job_id))

    def report(self, job_id: int, out: Path) -> Path:
        """Write the run as one HTML file, complete or not at all.

        Raises:
            InvalidInputError: the file is not named as HTML.
        """
        if out.suffix.lower() not in {".html", ".htm"}:
            raise InvalidInputError(f"The report is HTML: name it *.html, got {out.name!r}.")
        return write_report(self._record(job_id), out)

    def failure_text(self, job_id: int) -> str:
        """Text to copy: what went wrong, with all that is needed to help."""
        return failure_text(self._record(job_id))

    def wait(self, job_id: int, on_progress: Callable[[JobView], None]) -> JobView:
        """Return when the run has come to an end, whichever; a paused one may still go on."""
        job = self.job(job_id)
        while not job.is_final:
            on_progress(job)
            time.sleep(POLL_S)
            job = self.job(job_id)
        on_progress(job)
        return job

    def _change(self, change: Callable[[JobRepository], Job]) -> JobView:
        with self._storage.database.session() as session:
            row = change(JobRepository(session))
            return job_view(self._storage, session, row)

    def _record(self, job_id: int) -> RunRecord:
        job = self.job(job_id)
        with self._storage.database.session() as session:
            base = ProjectRepository(session).get(job.project_id).base
        log = read_tail(self._storage.log_path(job_id)) or job.log_tail
        return RunRecord(
            job, title_of(job.kind), base, self.losses(job_id), self.checkpoints(job_id), log
        )
