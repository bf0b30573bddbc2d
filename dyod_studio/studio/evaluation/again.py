"""An evaluation that failed or was stopped is asked for again; what it measured is not repeated."""

import shutil
from pathlib import Path

from sqlalchemy.orm import Session

from dyod_studio.errors import JobStateError
from dyod_studio.evaluation.plan import EVALUATION
from dyod_studio.evaluation.results import finished_points, points_dir
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.storage import Storage
from dyod_studio.store.tables import Job, JobState

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
