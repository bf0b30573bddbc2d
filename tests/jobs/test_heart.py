"""A job's process says that it lives, whatever its main thread is at."""

import time

from dyod_studio.jobs.child import beating
from dyod_studio.jobs.devices import host_name
from dyod_studio.store.records import ProcessIdentity
from tests.jobs.conftest import wait_until


def test_the_heart_beats_while_the_work_blocks_and_shows_the_log(queue, settings, storage):
    job_id = queue.add("steps")
    queue.claim(4711, 1.0)
    storage.log_path(job_id).parent.mkdir(parents=True)
    storage.log_path(job_id).write_text("loading\n")
    claimed_at = queue.get(job_id).heartbeat_at
    url = settings.resolved_database_url
    with beating(storage, url, job_id, ProcessIdentity(host_name(), 4711), every_s=0.05):
        first = queue.wait_for(job_id, lambda job: job.heartbeat_at > claimed_at).heartbeat_at
        queue.wait_for(job_id, lambda job: job.heartbeat_at > first)
        assert queue.get(job_id).log_tail == "loading"
    last = queue.get(job_id).heartbeat_at
    time.sleep(0.2)
    assert queue.get(job_id).heartbeat_at == last


def test_the_heart_of_a_process_that_lost_its_job_changes_nothing(queue, settings, storage):
    job_id = queue.add("steps")
    queue.claim(4711, 1.0)
    before = queue.get(job_id).heartbeat_at
    url = settings.resolved_database_url
    with beating(storage, url, job_id, ProcessIdentity("elsewhere", 4711), every_s=0.02):
        time.sleep(0.3)
    assert queue.get(job_id).heartbeat_at == before


def test_a_missed_beat_is_told_and_the_next_one_is_made(
    queue, settings, storage, monkeypatch, caplog
):
    job_id = queue.add("steps")
    queue.claim(4711, 1.0)
    before, tries = queue.get(job_id).heartbeat_at, []

    def read(_path: object) -> str:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("the log is not to be had")
        return "there"

    monkeypatch.setattr("dyod_studio.jobs.child.read_tail", read)
    url = settings.resolved_database_url
    with beating(storage, url, job_id, ProcessIdentity(host_name(), 4711), every_s=0.05):
        wait_until(lambda: queue.get(job_id).heartbeat_at > before)
    assert "A heartbeat was missed: the log is not to be had" in caplog.text
