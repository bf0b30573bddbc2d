import json
import subprocess
import sys

import pytest

from dyod_studio.errors import DatabaseBusyError, JobStateError, NotFoundError
from dyod_studio.store.database import Database
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.store.records import NEXT_STATES, JobState, ProcessIdentity

HERE, CPU = "here", "here/cpu"
FINAL = [state for state in JobState if state not in NEXT_STATES]


@pytest.fixture
def session(database, project_id):
    with database.session() as opened:
        yield opened


@pytest.fixture
def jobs(session):
    return JobRepository(session)


def queue(jobs: JobRepository, project_id: int, number: int = 1) -> list[int]:
    return [jobs.add(project_id, "vae", {"steps": 10}, 10).id for _ in range(number)]


def test_the_oldest_job_is_claimed_once(jobs, project_id):
    first, second = queue(jobs, project_id, 2)
    claimed = []
    for _ in range(3):
        claimed.append(jobs.claim_next(CPU, HERE))
        if claimed[-1] is not None:
            jobs.move(claimed[-1].id, JobState.SUCCEEDED)
    assert [job and job.id for job in claimed] == [first, second, None]
    assert (claimed[0].attempts, claimed[0].pid) == (1, None)
    assert claimed[0].started_at.utcoffset().total_seconds() == 0


@pytest.mark.parametrize("final", FINAL)
@pytest.mark.parametrize("later", list(JobState))
def test_a_final_state_is_never_overwritten(jobs, project_id, final, later):
    (job_id,) = queue(jobs, project_id)
    jobs.claim_next(CPU, HERE)
    jobs.move(job_id, final, error="its own end")
    with pytest.raises(JobStateError, match=f"is {final}; it cannot become {later}"):
        jobs.move(job_id, later, error="another")
    jobs.progress(job_id, 9, loss=0.5, seconds_left=1.0)
    assert jobs.set_process(job_id, ProcessIdentity(HERE, 1, 0.0)) is False
    job = jobs.get(job_id)
    assert (job.state, job.error, job.step, job.pid) == (final, "its own end", 0, None)


def test_a_job_that_is_cancelled_while_queued_ends_at_once_and_is_never_claimed(jobs, project_id):
    first, second = queue(jobs, project_id, 2)
    cancelled = jobs.request_cancel(first)
    assert cancelled.state is JobState.CANCELLED
    assert cancelled.finished_at is not None
    assert jobs.claim_next(CPU, HERE).id == second


def test_a_job_that_is_cancelled_while_it_runs_is_asked_to_stop(jobs, project_id):
    (job_id,) = queue(jobs, project_id)
    jobs.claim_next(CPU, HERE)
    assert not jobs.control_flags(job_id).cancel
    assert jobs.request_cancel(job_id).state is JobState.RUNNING
    assert jobs.control_flags(job_id).cancel


def test_cancelling_a_finished_job_says_what_it_is(jobs, project_id):
    (job_id,) = queue(jobs, project_id)
    jobs.claim_next(CPU, HERE)
    jobs.move(job_id, JobState.SUCCEEDED)
    with pytest.raises(JobStateError, match=f"Job {job_id} is succeeded; it cannot be cancelled"):
        jobs.request_cancel(job_id)


def test_a_missing_job_is_named(jobs):
    for ask in (jobs.get, jobs.request_cancel):
        with pytest.raises(NotFoundError, match="There is no job 77"):
            ask(77)
    with pytest.raises(NotFoundError, match="There is no job 77"):
        jobs.move(77, JobState.FAILED)


def test_the_latest_previews_are_those_of_the_newest_step(jobs, project_id):
    (job_id,) = queue(jobs, project_id)
    for step, names in [(5, ["a"]), (10, ["x"]), (10, ["b", "c"])]:
        jobs.set_previews(job_id, step, names)
    assert [preview.sha256 for preview in jobs.latest_previews(job_id)] == ["b", "c"]
    assert jobs.latest_previews(job_id + 1) == []


def test_progress_is_what_another_session_reads(database, project_id):
    with database.session() as session:
        (job_id,) = queue(JobRepository(session), project_id)
        JobRepository(session).claim_next(CPU, HERE)
        JobRepository(session).progress(job_id, 3, loss=0.25, seconds_left=7.5)
    with database.session() as session:
        job = JobRepository(session).get(job_id)
        assert (job.step, job.loss, job.seconds_left) == (3, 0.25, 7.5)
        assert JobRepository(session).count_queued() == 0


def test_a_block_that_fails_writes_nothing(database, project_id):
    def queue_and_fail() -> None:
        with database.session() as session:
            queue(JobRepository(session), project_id)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        queue_and_fail()
    with database.session() as session:
        assert JobRepository(session).of_project(project_id) == []


DRAIN = """
import json, sys
from dyod_studio.store.database import Database
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.records import JobState

database, mine = Database(sys.argv[1]), []
sys.stdin.readline()
while True:
    with database.session() as session:
        job = JobRepository(session).claim_next(sys.argv[2], 'here')
        if job is not None:
            JobRepository(session).move(job.id, JobState.SUCCEEDED)
    if job is None:
        break
    mine.append(job.id)
print(json.dumps(mine))
"""


def test_two_processes_that_drain_one_file_never_share_a_job(tmp_path):
    url = f"sqlite:///{tmp_path / 'studio.db'}"
    database = Database(url)
    database.migrate()
    with database.session() as session:
        project = ProjectRepository(session).add("chairs", base="starter", token="<chairs>")
        ids = queue(JobRepository(session), project.id, 200)
    database.dispose()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    drains = [
        subprocess.Popen([sys.executable, "-c", DRAIN, url, f"card {number}"], **pipes)
        for number in range(2)
    ]
    for drain in drains:
        drain.stdin.write("go\n")
        drain.stdin.flush()
    claimed = [json.loads(drain.communicate(timeout=120)[0]) for drain in drains]
    assert sorted(claimed[0] + claimed[1]) == ids
    assert all(mine == sorted(mine) for mine in claimed)


def test_a_locked_database_is_not_taken_for_a_missing_job(tmp_path):
    url = f"sqlite:///{tmp_path / 'studio.db'}"
    holder, asker = Database(url), Database(url, busy_timeout_s=0.1)
    holder.migrate()
    with holder.session() as session:
        project = ProjectRepository(session).add("chairs", base="starter", token="<chairs>")
        (job_id,) = queue(JobRepository(session), project.id)
        busy = pytest.raises(DatabaseBusyError, match="in use by another process")
        with busy, asker.session() as locked:
            JobRepository(locked).request_cancel(job_id)
    with asker.session() as freed:
        assert JobRepository(freed).get(job_id).state is JobState.QUEUED
    holder.dispose()
    asker.dispose()
