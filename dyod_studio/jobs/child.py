"""One job in a process of its own: ``python -m dyod_studio.jobs.child JOB_ID``.

It names itself in the job's row before the first slow import; whoever comes after its worker can
then find it. What is printed here is the job's log.
"""

import logging
import os
import sys
from collections.abc import Callable
from functools import partial

from dyod_studio.errors import (
    JobStateError,
    NotFoundError,
    StudioError,
    TrainingCancelledError,
)
from dyod_studio.jobs.logs import read_tail
from dyod_studio.jobs.processes import identify
from dyod_studio.jobs.retrying import patiently
from dyod_studio.settings import Settings
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.storage import Storage, open_storage
from dyod_studio.store.tables import Job, JobState

log = logging.getLogger(__name__)

RunJob = Callable[[Settings, Storage, Job], None]
"""Does a job's work and ends its row as succeeded."""


def main() -> None:
    """The entry of the process that the worker starts."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    run_child(Settings(), int(sys.argv[1]), train_job)


def run_child(settings: Settings, job_id: int, run_job: RunJob) -> None:
    """Run a claimed job in this process, and write its end unless it has one."""
    storage = open_storage(settings.storage, settings.resolved_database_url)
    try:
        job = patiently(partial(_take_over, storage, job_id))
        if job is None:
            log.info("Job %d is not to be run any more.", job_id)
            return
        _run_to_its_end(settings, storage, job, run_job)
    finally:
        storage.close()


def train_job(settings: Settings, storage: Storage, job: Job) -> None:
    """Train what the job asks for, on the pictures that its project has now."""
    from dyod_studio.training.registry import load_method, parse_config

    method = load_method(job.kind)
    config = parse_config(job.kind, job.config)
    from dyod_studio.jobs.metrics import open_metrics
    from dyod_studio.jobs.recording import Recorder
    from dyod_studio.jobs.training_inputs import load_inputs

    base, pictures = load_inputs(settings, storage, job.project_id)
    log.info("Training %s on %d pictures with %s.", job.kind, len(pictures.pictures), base.ref)
    with open_metrics(storage.metrics_path(job.id)) as metrics:
        recorder = Recorder(storage, job.id, metrics)
        for event in method.run(config, base, pictures, storage.run_dir(job.id)):
            recorder.record(event)
        patiently(partial(recorder.succeed, base.fingerprint))


def _take_over(storage: Storage, job_id: int) -> Job | None:
    """Name this process in the row; None when the job is not to be run any more."""
    this = identify(os.getpid())
    if this is None:
        return None
    with storage.database.session() as session:
        jobs = JobRepository(session)
        if not jobs.set_process(job_id, this.pid, this.started_at) or not jobs.is_wanted(job_id):
            return None
        return jobs.get(job_id)


def _run_to_its_end(settings: Settings, storage: Storage, job: Job, run_job: RunJob) -> None:
    try:
        run_job(settings, storage, job)
    except TrainingCancelledError:
        _end(storage, job.id, JobState.CANCELLED, None)
    except StudioError as exc:
        log.exception("Job %d failed.", job.id)
        _end(storage, job.id, JobState.FAILED, str(exc))
    except Exception as exc:  # a bug or the machine: the row must say so before the process ends
        log.exception("Job %d failed.", job.id)
        _end(storage, job.id, JobState.FAILED, _first_line(exc))


def _first_line(exc: Exception) -> str:
    """Type and message; what follows in a long message is in the log."""
    lines = str(exc).strip().splitlines()
    return f"{type(exc).__name__}: {lines[0]}" if lines else type(exc).__name__


def _end(storage: Storage, job_id: int, state: JobState, error: str | None) -> None:
    """Write the end, unless somebody else did or the project is gone."""

    def write() -> None:
        with storage.database.session() as session:
            tail = read_tail(storage.log_path(job_id))
            JobRepository(session).move(job_id, state, error=error, log_tail=tail)

    try:
        patiently(write)
    except (JobStateError, NotFoundError) as exc:
        log.warning("Job %d did not become %s: %s", job_id, state, exc)


if __name__ == "__main__":
    main()
