"""The saved states of a run: what a person can go on from, or finish from."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dyod_studio.errors import InvalidInputError, JobStateError
from dyod_studio.evaluation.plan import EVALUATION
from dyod_studio.evaluation.results import finished_points, points_dir
from dyod_studio.services.views import CheckpointView
from dyod_studio.store.database import Session
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.records import NEXT_STATES, Job, JobState
from dyod_studio.store.storage import Storage
from dyod_studio.training.checkpoints import Checkpoint, best_checkpoint, list_checkpoints
from dyod_studio.training.registry import MethodConfig, parse_config

ENDED_EARLY = (JobState.FAILED, JobState.CANCELLED)


def measured_again(storage: Storage, session: Session, job: Job, *, is_fresh: bool = False) -> Job:
    """A new job that measures the same, beginning with the points that the old one finished.

    Each point knows what it was measured of, so that one of another set or base is left aside.

    Args:
        is_fresh: begin with none of them.

    Raises:
        JobStateError: the evaluation is not over, or is measured to its end.
    """
    if job.state not in ENDED_EARLY:
        raise JobStateError(
            f"Evaluation {job.id} is {job.state}; one that failed or was stopped can go on."
        )
    jobs = JobRepository(session)
    row = jobs.add(job.project_id, EVALUATION, job.config, job.num_steps)
    target = points_dir(storage.run_dir(row.id))
    shutil.rmtree(target, ignore_errors=True)
    if not is_fresh:
        _copy(points_dir(storage.run_dir(job.id)), target)
    return row


def _copy(source: Path, target: Path) -> None:
    for folder in finished_points(source):
        shutil.copytree(folder, target / folder.name)


Start = tuple[int, int]
"""A job, and the step of one of its saved states."""


def checkpoint_views(run_dir: Path) -> list[CheckpointView]:
    """Every saved state of a run, in the order of the steps."""
    found = list_checkpoints(run_dir)
    best = best_checkpoint(found)
    return [
        CheckpointView(
            step=checkpoint.step,
            loss=checkpoint.loss,
            previews=checkpoint.previews,
            is_best=best is not None and checkpoint.step == best.step,
            is_kept=checkpoint.is_kept,
            saved_at=checkpoint.saved_at,
        )
        for checkpoint in found
    ]


def retry_of(
    storage: Storage,
    session: Session,
    job_id: int,
    step: int | None,
    *,
    is_fresh: bool,
    changes: Mapping[str, Any],
) -> Job:
    """A new job with the same settings but for the changes; see ``Training.retry``."""
    job = JobRepository(session).get(job_id)
    if job.kind != EVALUATION:
        return _trained_again(storage, session, job, step, is_fresh=is_fresh, changes=changes)
    if step is not None or changes:
        raise InvalidInputError(
            f"Evaluation {job_id} has neither saved states nor settings to change: ask for "
            "another one."
        )
    return measured_again(storage, session, job, is_fresh=is_fresh)


def _trained_again(
    storage: Storage,
    session: Session,
    job: Job,
    step: int | None,
    *,
    is_fresh: bool,
    changes: Mapping[str, Any],
) -> Job:
    if job.state in NEXT_STATES:
        raise JobStateError(
            f"Job {job.id} is {job.state}; it can be trained again when it has come to an end."
        )
    start = None if is_fresh else _start(storage, job, step)
    if is_fresh and step is not None:
        raise InvalidInputError(f"A fresh start begins at step 0, not at step {step}.")
    if start is not None and (fixed := sorted(set(changes) - set(MethodConfig.model_fields))):
        raise InvalidInputError(
            f"{fixed[0]} cannot change when a run goes on from a saved state: begin afresh."
        )
    config = parse_config(job.kind, {**job.config, **changes})
    if start is not None and start[1] >= config.steps:
        raise InvalidInputError(
            f"Job {job.id} has nothing left to train after step {start[1]} of {config.steps}: "
            "choose an earlier state, more steps, or a fresh start."
        )
    source, first = start or (None, None)
    return JobRepository(session).add(
        job.project_id,
        job.kind,
        config.model_dump(mode="json"),
        config.steps,
        continues_job_id=source,
        start_step=first,
        adjustments=None if is_fresh else job.adjustments,
    )


def finish_of(storage: Storage, session: Session, job_id: int, step: int | None) -> Job:
    """A new job that makes the trained part from a saved state; see ``Training.choose``."""
    jobs = JobRepository(session)
    job = jobs.get(job_id)
    if job.state in NEXT_STATES and job.state is not JobState.PAUSED:
        raise JobStateError(
            f"Job {job_id} is {job.state}: pause it or wait for its end before you choose a state."
        )
    best = best_checkpoint(list_checkpoints(storage.run_dir(job_id))) if step is None else None
    chosen = best or _at(storage, job, step)
    return jobs.add(
        job.project_id,
        job.kind,
        job.config,
        job.num_steps,
        continues_job_id=job_id,
        start_step=chosen.step,
        is_finish_only=True,
        adjustments=job.adjustments,
    )


def _start(storage: Storage, job: Job, step: int | None) -> Start | None:
    """The chosen state; else where the job stood last: its newest, or the one it began from."""
    if step is not None:
        return job.id, _at(storage, job, step).step
    saved = list_checkpoints(storage.run_dir(job.id))
    if saved:
        return job.id, saved[-1].step
    if job.continues_job_id is None or job.start_step is None:
        return None
    return job.continues_job_id, job.start_step


def _at(storage: Storage, job: Job, step: int | None) -> Checkpoint:
    """The saved state after ``step``; an error that names those that there are."""
    saved = list_checkpoints(storage.run_dir(job.id))
    for checkpoint in saved:
        if checkpoint.step == step:
            return checkpoint
    if not saved:
        raise InvalidInputError(f"Job {job.id} has saved no state: train it again from the start.")
    steps = ", ".join(str(checkpoint.step) for checkpoint in saved)
    raise InvalidInputError(f"Job {job.id} has no state of step {step}: choose one of {steps}.")
