"""Projects in a storage of their own, trained and measured as a person would, only once.

What is there already for the same base model is used again; what was cut off goes on.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dyod_studio.bootstrap import build_studio, run_worker
from dyod_studio.evaluation.plan import EvaluationConfig
from dyod_studio.models.references import fingerprint_of
from dyod_studio.services.evaluation.views import EvaluationSettings, EvaluationView
from dyod_studio.services.studio import Studio
from dyod_studio.services.views import ProjectView
from dyod_studio.settings import STARTER_DIR, Settings
from dyod_studio.store.storage import Storage, open_storage

USABLE = ("succeeded", "queued", "running")
"""States of an evaluation that is not made twice."""


@dataclass(frozen=True)
class Bench:
    """A studio without a page, whose jobs are run by the call that asks for them."""

    settings: Settings
    storage: Storage
    studio: Studio

    def project(self, name: str, folder: Path) -> ProjectView:
        """The project of a set on the base model as it is now; made when it is missing."""
        full = f"{name} {fingerprint_of(STARTER_DIR)[:6]}"
        known = {view.name: view for view in self.studio.projects.all()}
        if full not in known:
            view = self.studio.projects.create(full)
            self.studio.projects.add_pictures(view.id, [folder])
        return self.studio.projects.get(full)

    def train(self, project: int, method: str, values: Mapping[str, Any]) -> None:
        """Train a part unless it was trained with these very settings before; wait for its end."""
        for job in self.studio.training.jobs(project):
            told = {name: job.settings.get(name) for name in values}
            if job.kind == method and job.state == "succeeded" and told == dict(values):
                return
        job = self.studio.training.start(project, method, values)
        run_worker(self.settings, once=False, drain=True)
        job = self.studio.training.job(job.id)
        if job.state != "succeeded":
            raise SystemExit(f"{method} on project {project} is {job.state}: {job.error}")

    def evaluate(self, project: int, settings: EvaluationSettings) -> EvaluationView:
        """Measure unless the same was measured before; one that was cut off goes on."""
        queued = self.studio.evaluation.start(project, settings)
        config = _asked_for(self.studio.evaluation.get(queued.id))
        for view in self.studio.evaluation.all(project):
            is_same = _asked_for(view) == config and view.job.state in USABLE
            if is_same and view.job.id != queued.id:
                self.studio.training.cancel(queued.id)
                queued = view.job
                break
        run_worker(self.settings, once=False, drain=True)
        view = self.studio.evaluation.get(queued.id)
        if view.job.state != "succeeded":
            raise SystemExit(f"Evaluation {queued.id} is {view.job.state}: {view.job.error}")
        return view


def _asked_for(view: EvaluationView) -> EvaluationConfig:
    """What decides the figures: a sweep of t0 has no use for the t0 that an advice would change."""
    return view.config.model_copy(update={"t0": 0.0}) if view.config.sweep == "t0" else view.config


@contextmanager
def open_bench(work: Path) -> Iterator[Bench]:
    """The bench whose storage is ``work``; child processes are given the same settings."""
    os.environ["DYOD_STORAGE"] = str(work.resolve())
    settings = Settings(storage=work)
    with open_storage(settings.storage, settings.resolved_database_url, migrate=True) as storage:
        yield Bench(settings, storage, build_studio(settings, storage, _refuse))


def _refuse(request_id: int) -> None:
    raise SystemExit(f"Request {request_id}: a bench makes its pictures in evaluations.")
