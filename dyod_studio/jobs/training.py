"""A training job's work: from its row to a trained part, with fallbacks when memory lacks."""

import logging
import traceback
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from dyod_studio.errors import InvalidInputError
from dyod_studio.jobs.calibration import age_of_this_process, keep
from dyod_studio.jobs.inputs import load_inputs, with_learned_token
from dyod_studio.jobs.metrics import open_metrics
from dyod_studio.jobs.recorder import Recorder
from dyod_studio.models.base import BaseModel
from dyod_studio.models.memory import peak_memory_mb, release_memory
from dyod_studio.settings import Settings
from dyod_studio.store.database import retry_while_busy
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.records import Job
from dyod_studio.store.storage import Storage
from dyod_studio.training.calibration import Meter
from dyod_studio.training.checkpoints import Checkpoint, list_checkpoints
from dyod_studio.training.data import TrainingSet
from dyod_studio.training.oom_fallbacks import ALLOCATORS_RAISE, is_out_of_memory, next_fallback
from dyod_studio.training.registry import Method, MethodConfig, load_method, parse_config
from dyod_studio.training.run import (
    Adjustments,
    Event,
    Run,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """All that stays the same while a job tries to fit into memory."""

    storage: Storage
    job: Job
    method: Method
    config: MethodConfig
    base: BaseModel
    pictures: TrainingSet
    recorder: Recorder
    meters: list[Meter]
    """One for each attempt; the last one's figures are those of the settings that fit."""


def train_job(settings: Settings, storage: Storage, job: Job) -> None:
    """Train what the job asks for, on the pictures that its project has now."""
    method = load_method(job.kind)
    config = parse_config(job.kind, job.config)
    base, pictures = load_inputs(settings, storage, job.project_id)
    logger.info("Training %s on %d pictures with %s.", job.kind, len(pictures.pictures), base.ref)
    with (
        open_metrics(storage.metrics_path(job.id)) as metrics,
        with_learned_token(storage, base, config) as knowing_base,
    ):
        recorder = Recorder(storage, job.id, metrics, job.owner)
        work = Work(storage, job, method, config, knowing_base, pictures, recorder, [])
        loading_s = age_of_this_process()
        adjustments = Adjustments.from_dict(job.adjustments)
        while (changed := attempt(work, adjustments)) is not None:
            adjustments = changed
        retry_while_busy(partial(recorder.succeed, base.fingerprint))
    found = work.meters[-1].measurement(peak_memory_mb(base.device.type), loading_s)
    if found is not None:
        found = replace(found, adjustments=adjustments.as_dict())
        keep(settings, storage, base.fingerprint, job.kind, config, base.own_resolution, found)


def attempt(work: Work, adjustments: Adjustments) -> Adjustments | None:
    """Train from the last checkpoint; None when done, or what to change because it did not fit."""
    job = work.job
    start = find_start(work.storage, job)
    if start is not None:
        logger.info("Going on from the checkpoint of step %d.", start.step)
        work.recorder.begin_at(start.step)
    run = Run(
        run_dir=work.storage.run_dir(job.id),
        resume_from=None if start is None else start.path,
        control=work.recorder.control,
        adjustments=adjustments,
        finish_only=job.is_finish_only,
    )
    work.meters.append(Meter())
    events = work.method.run(work.config, work.base, work.pictures, run)
    try:
        with closing(cast("Generator[Event]", events)):
            for event in work.meters[-1].watch(events):
                work.recorder.record(event)
    except ALLOCATORS_RAISE as exc:
        changed = _changed(work, adjustments) if is_out_of_memory(exc) else None
        if changed is None:
            raise
        logger.warning("%s", exc)
        traceback.clear_frames(exc.__traceback__)
    else:
        return None
    release_memory(work.base.device.type)
    return changed


def find_start(storage: Storage, job: Job) -> Checkpoint | None:
    """Where a job begins: its own newest checkpoint, else the one that it was given.

    Raises:
        InvalidInputError: the checkpoint that it was given is gone.
    """
    own = list_checkpoints(storage.run_dir(job.id))
    if own:
        return own[-1]
    if job.continues_job_id is None:
        return None
    given = list_checkpoints(storage.run_dir(job.continues_job_id))
    chosen = [c for c in given if job.start_step in (None, c.step)]
    if not chosen:
        step = "" if job.start_step is None else f" of step {job.start_step}"
        raise InvalidInputError(
            f"The checkpoint{step} of job {job.continues_job_id} is gone: choose another one, "
            "or train from the start."
        )
    return chosen[-1]


def _changed(work: Work, adjustments: Adjustments) -> Adjustments | None:
    """The next fallback, written into the row; None when there is none."""
    fallback = next_fallback(
        work.method.info,
        work.config,
        adjustments,
        resolution=work.base.own_resolution,
        resolution_multiple=work.base.resolution_multiple,
    )
    if fallback is None:
        return None
    changed, sentence = fallback
    note = f"The memory was full: {sentence[0].lower()}{sentence[1:]}"

    def write() -> None:
        with work.storage.database.session() as session:
            JobRepository(session).adjust(work.job.id, changed.as_dict(), note)

    retry_while_busy(write)
    logger.warning("%s", note)
    return changed
