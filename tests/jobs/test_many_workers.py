"""Several workers on one database, on one machine or on several."""

import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from dyod_studio.jobs.processes import environment
from dyod_studio.jobs.supervisor import Supervisor
from dyod_studio.jobs.worker import run_worker
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.records import JobState, ProcessIdentity, utc_now
from dyod_studio.store.tables import JobRow
from tests.jobs.conftest import wait_until
from tests.jobs.serving import CHILDREN, QUICK

WORKER = """
import sys
from dyod_studio.jobs.worker import run_worker
from dyod_studio.settings import Settings
from tests.jobs.serving import QUICK

print(run_worker(Settings(), drain=True, child_command=(sys.executable, "-S", sys.argv[1]),
                 timing=QUICK))
"""
TINY_CHILD = Path(__file__).with_name("tiny_child.py")


class Said(NamedTuple):
    job_id: int
    device: str
    began: float
    ended: float


def drain_with_two_workers(queue, devices: tuple[str, str]) -> tuple[list[int], list[Said]]:
    """How many jobs each worker counts, and what the jobs said of themselves, as they began."""
    workers = []
    for device in devices:
        settings = queue.settings.model_copy(update={"device": "cuda"})
        known = environment(settings) | {"CUDA_VISIBLE_DEVICES": device}
        command = [sys.executable, "-c", WORKER, str(TINY_CHILD)]
        workers.append(subprocess.Popen(command, env=known, stdout=subprocess.PIPE, text=True))
    counts = [int(worker.communicate(timeout=280)[0]) for worker in workers]
    lines = (queue.storage.root / "said.txt").read_text().splitlines()
    said = [Said(int(i), device, float(b), float(e)) for i, device, b, e in map(str.split, lines)]
    return counts, sorted(said, key=lambda row: row.began)


@pytest.mark.slow
def test_two_workers_on_one_database_run_each_of_two_hundred_jobs_exactly_once_in_order(queue):
    ids = [queue.add("tiny") for _ in range(200)]
    counts, said = drain_with_two_workers(queue, ("0", "1"))
    assert sorted(row.job_id for row in said) == ids
    assert sum(counts) == 200
    assert all(queue.get(job_id).attempts == 1 for job_id in ids)
    for device in {row.device for row in said}:
        mine = [row for row in said if row.device == device]
        assert [row.job_id for row in mine] == sorted(row.job_id for row in mine)
        assert all(a.ended <= b.began for a, b in pairwise(mine))
    assert {row.device.rpartition("/")[2] for row in said} == {"cuda:0", "cuda:1"}


def test_two_workers_on_one_device_run_one_job_at_a_time(queue):
    ids = [queue.add("tiny") for _ in range(40)]
    counts, said = drain_with_two_workers(queue, ("0", "0"))
    assert [row.job_id for row in said] == ids
    assert sum(counts) == 40
    assert all(a.ended <= b.began for a, b in pairwise(said))


def elsewhere(queue, *, beat_s_ago: float) -> int:
    """A job that another machine took up, and whose last sign of life is that old."""
    job_id = queue.add("steps")

    def take(jobs: JobRepository) -> None:
        job = jobs.claim_next("other/cpu", "other")
        assert job is not None
        jobs.set_process(job.id, ProcessIdentity("other", 4711, 1.0))
        row = jobs._session.get(JobRow, job.id)
        row.heartbeat_at = utc_now() - timedelta(seconds=beat_s_ago)

    queue.change(take)
    return job_id


def test_a_job_of_a_machine_that_has_fallen_silent_is_run_here(queue, settings):
    job_id = elsewhere(queue, beat_s_ago=3600)
    assert run_worker(settings, once=True, child_command=CHILDREN, timing=QUICK) == 0
    waiting = replace(QUICK, watched_for_s=0.2)
    supervisor = Supervisor(queue.storage, waiting)
    wait_until(lambda: supervisor.look() or queue.get(job_id).state is JobState.QUEUED, 20)
    assert queue.get(job_id).notes == ["The machine other has fallen silent with this job."]
    queue.drain()
    job = queue.get(job_id)
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)


@pytest.mark.parametrize("clock_is_off_by_s", [0, 3600])
def test_a_job_of_a_machine_that_lives_is_left_to_it_even_if_its_clock_is_wrong(
    queue, clock_is_off_by_s
):
    job_id = elsewhere(queue, beat_s_ago=clock_is_off_by_s)
    supervisor = Supervisor(queue.storage, replace(QUICK, watched_for_s=1.0))

    def beat(jobs: JobRepository) -> None:
        jobs._session.get(JobRow, job_id).heartbeat_at = utc_now() - timedelta(
            seconds=clock_is_off_by_s
        )

    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        supervisor.look()
        queue.change(beat)
        time.sleep(0.1)
    assert queue.get(job_id).state is JobState.RUNNING


@pytest.mark.slow
def test_a_process_whose_heart_stands_still_is_ended_and_its_job_put_back(queue, start_serving):
    job_id = queue.add("silent")
    start_serving("drain")
    pid = queue.wait_for(job_id, lambda job: job.pid is not None).pid
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    job = queue.wait_for(job_id, lambda job: job.attempts == 2)
    assert len(job.notes) == 1
    assert not psutil.pid_exists(pid)
    queue.cancel(job_id)
    assert queue.wait_for_end(job_id).state is JobState.CANCELLED


def test_the_process_of_a_job_that_was_given_to_another_machine_stops(queue, start_serving):
    job_id = queue.add("steps", num_steps=2000, step_s=0.05)
    start_serving("drain")
    pid = queue.wait_for(job_id, lambda job: job.step >= 1).pid

    def take_away(jobs: JobRepository) -> None:
        assert jobs.put_back(job_id, "Believed dead.")
        assert jobs.claim_next("other/cpu", "other") is not None
        assert jobs.set_process(job_id, ProcessIdentity("other", 4711, 1.0))

    queue.change(take_away)
    wait_until(lambda: not psutil.pid_exists(pid))
    job = queue.get(job_id)
    assert (job.state, job.host, job.pid) == (JobState.RUNNING, "other", 4711)


def test_a_worker_that_is_to_run_one_job_leaves_the_others(queue, settings):
    first, second = queue.add("steps"), queue.add("steps")
    assert run_worker(settings, once=True, child_command=CHILDREN, timing=QUICK) == 1
    assert queue.get(first).state is JobState.SUCCEEDED
    assert queue.get(second).state is JobState.QUEUED


def test_a_worker_that_is_to_run_one_job_ends_when_there_is_none(queue, settings):
    assert run_worker(settings, once=True, child_command=CHILDREN, timing=QUICK) == 0
