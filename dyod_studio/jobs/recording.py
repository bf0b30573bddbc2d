"""What a training run tells, written down: rows, stored files, one metrics line a step."""

import logging
import time
from functools import partial
from pathlib import Path

from dyod_studio.errors import TrainingCancelledError
from dyod_studio.jobs.metrics import MetricsLog
from dyod_studio.jobs.retrying import patiently
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.files import PNG, SAFETENSORS
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.storage import Storage
from dyod_studio.store.tables import JobState
from dyod_studio.training.events import (
    ArtifactReady,
    CheckpointSaved,
    Event,
    PicturesPrepared,
    PreviewsReady,
    StepDone,
)

WRITE_EVERY_S = 0.5
"""How often the row shows a new step; the metrics file has them all."""
LOG_EVERY_S = 5.0

log = logging.getLogger(__name__)


class Recorder:
    """Records the events of one job, and stops the run when nobody wants it any more."""

    def __init__(self, storage: Storage, job_id: int, metrics: MetricsLog) -> None:
        self._storage, self._job_id, self._metrics = storage, job_id, metrics
        self._pace = Pace()
        self._last_write = self._last_log = -LOG_EVERY_S
        self._artifacts: list[ArtifactReady] = []

    def record(self, event: Event) -> None:
        """Write one event down.

        Raises:
            TrainingCancelledError: the job was cancelled, or its project deleted.
        """
        match event:
            case StepDone():
                self._record_step(event)
            case PreviewsReady(step, paths):
                patiently(partial(self._store_previews, step, paths))
            case ArtifactReady():
                self._artifacts.append(event)
            case CheckpointSaved(step, path):
                log.info("Saved the state after step %d in %s.", step, path.name)
            case PicturesPrepared(done, total):
                log.info("Prepared %d of %d pictures.", done, total)
        if not patiently(self._is_wanted):
            raise TrainingCancelledError("This job is not wanted any more.")

    def succeed(self, base_fingerprint: str) -> None:
        """Store what was trained and end the job, in one transaction."""
        with self._storage.files.guard(), self._storage.database.session() as session:
            job = JobRepository(session).find(self._job_id)
            if job is None:
                raise TrainingCancelledError("The project was deleted during this job.")
            for artifact in self._artifacts:
                ArtifactRepository(session).add(
                    job.project_id,
                    artifact.kind,
                    self._storage.files.add_file(artifact.path, SAFETENSORS),
                    base_fingerprint=base_fingerprint,
                    config=job.config,
                    job_id=job.id,
                )
            JobRepository(session).move(job.id, JobState.SUCCEEDED)

    def _record_step(self, event: StepDone) -> None:
        self._metrics.write(
            {
                "step": event.step,
                "loss": event.loss,
                "learning_rate": event.learning_rate,
                "samples_per_s": event.samples_per_s,
            }
        )
        now = time.monotonic()
        seconds_left = self._pace.seconds_left(event.step, event.num_steps, now)
        is_last = event.step == event.num_steps
        if is_last or now - self._last_write >= WRITE_EVERY_S:
            self._last_write = now
            patiently(partial(self._show, event, seconds_left))
        if is_last or now - self._last_log >= LOG_EVERY_S:
            self._last_log = now
            log.info("Step %d of %d, loss %.4f.", event.step, event.num_steps, event.loss)

    def _show(self, event: StepDone, seconds_left: float | None) -> None:
        with self._storage.database.session() as session:
            JobRepository(session).progress(
                self._job_id, event.step, loss=event.loss, seconds_left=seconds_left
            )

    def _store_previews(self, step: int, paths: tuple[Path, ...]) -> None:
        with self._storage.files.guard(), self._storage.database.session() as session:
            jobs = JobRepository(session)
            if jobs.find(self._job_id) is None:
                return
            for path in paths:
                jobs.add_preview(self._job_id, step, self._storage.files.add_file(path, PNG).sha256)

    def _is_wanted(self) -> bool:
        with self._storage.database.session() as session:
            return JobRepository(session).is_wanted(self._job_id)


class Pace:
    """How long the rest takes, from the steps made so far."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def seconds_left(self, step: int, num_steps: int, now: float) -> float | None:
        """Seconds to the last step, or None before a second step was seen."""
        if self._first is None:
            self._first = (step, now)
            return None
        first_step, started = self._first
        return (now - started) / (step - first_step) * (num_steps - step)
