"""Recorder of a run's events in its row, its metrics file and its log. No torch here."""

import logging
import time
from functools import partial
from pathlib import Path

from dyod_studio.errors import TrainingCancelledError, TrainingPausedError
from dyod_studio.jobs.metrics import MetricsLog, Pace
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.database import retry_while_busy
from dyod_studio.store.files import PNG, SAFETENSORS
from dyod_studio.store.jobs import ControlFlags, JobRepository
from dyod_studio.store.records import JobState, ProcessIdentity
from dyod_studio.store.storage import Storage
from dyod_studio.training.run import (
    ArtifactReady,
    CheckpointSaved,
    Event,
    Note,
    PicturesPrepared,
    PreviewsFailed,
    PreviewsReady,
    RunControl,
    StepDone,
)

WRITE_EVERY_S = 0.5
"""How often the row shows a new step; the metrics file has them all."""
LOG_EVERY_S = 5.0

logger = logging.getLogger(__name__)


class Recorder:
    """Records the events of one job, and stops the run when it is not wanted any more."""

    def __init__(
        self,
        storage: Storage,
        job_id: int,
        metrics: MetricsLog,
        owner: ProcessIdentity | None = None,
    ) -> None:
        self._storage, self._job_id, self._metrics = storage, job_id, metrics
        self._owner = owner
        self._pace = Pace()
        self._last_write = self._last_log = -LOG_EVERY_S
        self._artifacts: list[ArtifactReady] = []
        self._control = RunControl()
        self._acknowledged = RunControl()

    def control(self) -> RunControl:
        """Requests to the run, as they stood when the last event was recorded."""
        self._acknowledged = self._control
        return self._control

    def begin_at(self, step: int) -> None:
        """Show that these steps are done already."""
        retry_while_busy(partial(self._show_start, step))

    def record(self, event: Event) -> None:
        """Write one event down.

        Raises:
            TrainingCancelledError: the job was cancelled, given to another process, or deleted.
            TrainingPausedError: the job was asked to rest, and nothing would be lost.
        """
        match event:
            case StepDone():
                self._record_step(event)
            case PreviewsReady(step, paths):
                retry_while_busy(partial(self._store_previews, step, paths))
                self._acknowledge(sample=self._acknowledged.sample_now)
            case PreviewsFailed(step, reason):
                logger.warning("The previews of step %d failed: %s", step, reason)
                retry_while_busy(partial(self._note, f"Preview pictures failed: {reason}"))
                self._acknowledge(sample=self._acknowledged.sample_now)
            case Note(text):
                logger.info("%s", text)
                retry_while_busy(partial(self._note, text))
            case CheckpointSaved(step, path):
                logger.info("Saved the state after step %d in %s.", step, path.name)
                self._acknowledge(save=self._acknowledged.save_now)
            case ArtifactReady():
                self._artifacts.append(event)
            case PicturesPrepared(done, total, what):
                logger.info("Prepared %d of %d %s.", done, total, what)
        self._handle(retry_while_busy(self._look), event)

    def succeed(self, base_fingerprint: str) -> None:
        """Store what was trained and end the job, in one transaction."""
        with self._storage.files.guard(), self._storage.database.session() as session:
            jobs = JobRepository(session)
            job = jobs.find(self._job_id)
            if job is None or jobs.control_flags(self._job_id, self._owner) is None:
                raise TrainingCancelledError("This job was deleted or given to another process.")
            for artifact in self._artifacts:
                ArtifactRepository(session).add(
                    job.project_id,
                    artifact.kind,
                    self._storage.files.add_file(artifact.path, SAFETENSORS),
                    base_fingerprint=base_fingerprint,
                    config=job.config,
                    job_id=job.id,
                )
            jobs.move(job.id, JobState.SUCCEEDED, owner=self._owner)

    def _handle(self, control: ControlFlags | None, event: Event) -> None:
        if control is None or control.cancel:
            raise TrainingCancelledError("This job is not wanted any more.")
        if control.pause and isinstance(event, CheckpointSaved | PicturesPrepared):
            raise TrainingPausedError("This job was asked to rest.")
        self._control = RunControl(
            save_now=control.save, sample_now=control.sample, pause=control.pause
        )

    def _record_step(self, event: StepDone) -> None:
        self._metrics.write(
            {
                "step": event.step,
                "loss": event.loss,
                "learning_rate": event.learning_rate,
                "samples_per_s": event.samples_per_s,
                "memory_mb": event.memory_mb,
            }
        )
        now = time.monotonic()
        seconds_left = self._pace.seconds_left(event.step, event.num_steps, now)
        is_last = event.step == event.num_steps
        if is_last or now - self._last_write >= WRITE_EVERY_S:
            self._last_write = now
            retry_while_busy(partial(self._show, event, seconds_left))
        if is_last or now - self._last_log >= LOG_EVERY_S:
            self._last_log = now
            logger.info("Step %d of %d, loss %.4f.", event.step, event.num_steps, event.loss)

    def _show(self, event: StepDone, seconds_left: float | None) -> None:
        with self._storage.database.session() as session:
            JobRepository(session).progress(
                self._job_id,
                event.step,
                loss=event.loss,
                seconds_left=seconds_left,
                samples_per_s=event.samples_per_s,
                peak_memory_mb=event.memory_mb,
                owner=self._owner,
            )

    def _show_start(self, step: int) -> None:
        with self._storage.database.session() as session:
            jobs = JobRepository(session)
            job = jobs.find(self._job_id)
            loss = None if job is None else job.loss
            jobs.progress(self._job_id, step, loss=loss, seconds_left=None, owner=self._owner)

    def _store_previews(self, step: int, paths: tuple[Path, ...]) -> None:
        with self._storage.files.guard(), self._storage.database.session() as session:
            jobs = JobRepository(session)
            if jobs.control_flags(self._job_id, self._owner) is None:
                return
            stored = [self._storage.files.add_file(path, PNG).sha256 for path in paths]
            jobs.set_previews(self._job_id, step, stored)

    def _note(self, note: str) -> None:
        with self._storage.database.session() as session:
            JobRepository(session).add_note(self._job_id, note)

    def _acknowledge(self, *, save: bool = False, sample: bool = False) -> None:
        """Take a request back that was obeyed; one that came meanwhile is kept."""
        if not save and not sample:
            return

        def write() -> None:
            with self._storage.database.session() as session:
                JobRepository(session).acknowledge(self._job_id, save=save, sample=sample)

        retry_while_busy(write)

    def _look(self) -> ControlFlags | None:
        with self._storage.database.session() as session:
            return JobRepository(session).control_flags(self._job_id, self._owner)
