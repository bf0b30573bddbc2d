"""One job in a process of its own: ``python -m dyod_studio.jobs.child JOB_ID``.

It names itself in the job's row before the first slow import, so that whoever comes after its
worker can find it, and beats its own heart. What is printed here is the job's log.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from dyod_studio.errors import (
    JobStateError,
    NotFoundError,
    StudioError,
    TrainingCancelledError,
    TrainingPausedError,
)
from dyod_studio.evaluation.plan import EVALUATION
from dyod_studio.jobs.processes import log_to_stderr, this_process
from dyod_studio.settings import Settings
from dyod_studio.store.database import (
    Database,
    DatabaseFault,
    retry_until_written,
    retry_while_busy,
)
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.records import Job, JobState, ProcessIdentity
from dyod_studio.store.storage import Storage, open_storage

NUM_LINES = 40
MAX_BYTES = 32_768
MAX_LINE_CHARACTERS = 400


def read_tail(path: Path) -> str:
    """The last 40 lines; a bar that was redrawn in place counts as its newest state."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, os.path.getsize(path) - MAX_BYTES))
        text = file.read().decode("utf-8", errors="replace")
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n")]
    shown = [line[:MAX_LINE_CHARACTERS] for line in lines if line.strip()]
    return "\n".join(shown[-NUM_LINES:])


BEAT_S = 5.0

logger = logging.getLogger(__name__)


@contextmanager
def beating(
    storage: Storage,
    database_url: str,
    job_id: int,
    owner: ProcessIdentity,
    every_s: float = BEAT_S,
) -> Iterator[None]:
    """Beat, on a connection of its own, as long as the block lasts."""
    rest = threading.Event()
    heartbeat = Heartbeat(storage, database_url, job_id, owner)
    thread = threading.Thread(target=heartbeat.beat_until, args=(rest, every_s), daemon=True)
    thread.start()
    try:
        yield
    finally:
        rest.set()
        thread.join()


class Heartbeat:
    """Says in the row that the owner's process lives, and shows the end of its log."""

    def __init__(
        self, storage: Storage, database_url: str, job_id: int, owner: ProcessIdentity
    ) -> None:
        self._log_path = storage.log_path(job_id)
        self._url, self._job_id, self._owner = database_url, job_id, owner

    def beat_until(self, rest: threading.Event, every_s: float) -> None:
        """Beat at once and then at this pace; a beat that fails is missed, the next may succeed."""
        database = Database(self._url)
        try:
            while True:
                try:
                    self._beat(database)
                except (StudioError, DatabaseFault, OSError) as exc:
                    logger.warning("A heartbeat was missed: %s", exc)
                if rest.wait(every_s):
                    return
        finally:
            database.dispose()

    def _beat(self, database: Database) -> None:
        tail = read_tail(self._log_path)
        with database.session() as session:
            JobRepository(session).beat(self._job_id, tail, self._owner)


RunJob = Callable[[Settings, Storage, Job], None]
"""Does a job's work and ends its row as succeeded."""


def main() -> None:
    """The entry of the process that the worker starts."""
    log_to_stderr()
    run_child(Settings(), int(sys.argv[1]), train_job)


def run_child(settings: Settings, job_id: int, run_job: RunJob, *, beat_s: float = BEAT_S) -> None:
    """Run a claimed job in this process, and write its end unless it has one."""
    owner = this_process()
    with open_storage(settings.storage, settings.resolved_database_url) as storage:
        job = retry_while_busy(partial(_take_over, storage, job_id))
        if job is None:
            logger.info("Job %d is not to be run any more.", job_id)
            return
        with beating(storage, settings.resolved_database_url, job_id, owner, beat_s):
            _run_to_its_end(settings, storage, job, run_job)


def train_job(settings: Settings, storage: Storage, job: Job) -> None:
    """The work of a real job; PyTorch is loaded only now."""
    if job.kind == EVALUATION:
        from dyod_studio.jobs.evaluation import run_sweep

        run_sweep(settings, storage, job)
        return
    from dyod_studio.jobs.training import train_job as train

    train(settings, storage, job)


def _take_over(storage: Storage, job_id: int) -> Job | None:
    """Name this process in the row; None when the job is not to be run any more."""
    with storage.database.session() as session:
        jobs = JobRepository(session)
        if not jobs.set_process(job_id, this_process()):
            return None
        return jobs.get(job_id)


def _run_to_its_end(settings: Settings, storage: Storage, job: Job, run_job: RunJob) -> None:
    try:
        if job.cancel_requested:
            raise TrainingCancelledError("This job was cancelled before it began.")
        run_job(settings, storage, job)
    except TrainingCancelledError:
        _end(storage, job, JobState.CANCELLED)
    except TrainingPausedError:
        logger.info("Resting; the job goes on from here when it is resumed.")
        _end(storage, job, JobState.PAUSED)
    except Exception as exc:  # of a user, the machine or a bug: the row must say so in the end
        logger.exception("Job %d failed.", job.id)
        _fail(storage, job, exc)


def _fail(storage: Storage, job: Job, exc: Exception) -> None:
    from dyod_studio.jobs.failures import explain

    failure = explain(exc)
    _end(storage, job, JobState.FAILED, failure.cause, failure.remedy)


def _end(
    storage: Storage,
    job: Job,
    state: JobState,
    error: str | None = None,
    remedy: str | None = None,
) -> None:
    """Write the end, unless somebody else did, the job is another's, or the project is gone."""

    def write() -> None:
        tail = read_tail(storage.log_path(job.id))
        with storage.database.session() as session:
            JobRepository(session).move(
                job.id, state, error=error, remedy=remedy, log_tail=tail, owner=job.owner
            )

    try:
        retry_until_written(write)
    except (JobStateError, NotFoundError) as exc:
        logger.warning("Job %d did not become %s: %s", job.id, state, exc)


if __name__ == "__main__":
    main()
