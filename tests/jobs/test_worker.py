import subprocess
import sys
import threading
import time

import psutil
import pytest

from dyod_studio.errors import NotFoundError
from dyod_studio.jobs.metrics import read_losses
from dyod_studio.jobs.processes import environment
from dyod_studio.jobs.worker import run_worker
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.cleaning import delete_project
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.store.records import JobState
from tests.jobs.conftest import wait_until
from tests.jobs.serving import QUICK


def test_a_job_is_run_to_its_end_and_leaves_what_it_made(queue, storage):
    job_id = queue.add("steps", num_steps=4)
    assert queue.drain() == 1
    job = queue.get(job_id)
    assert (job.state, job.step, job.loss, job.error) == (JobState.SUCCEEDED, 4, 0.25, None)
    assert job.attempts == 1
    assert job.created_at <= job.started_at <= job.heartbeat_at
    assert "Step 4 of 4, loss 0.2500." in job.log_tail
    assert read_losses(storage.metrics_path(job_id)) == [(1, 1.0), (2, 0.5), (3, 1 / 3), (4, 0.25)]
    with storage.database.session() as session:
        (artifact,) = ArtifactRepository(session).of_job(job_id)
        (preview,) = JobRepository(session).latest_previews(job_id)
    stored = storage.files.path(artifact.sha256, ".safetensors")
    assert stored.read_bytes() == b"weights of project 1"
    assert storage.files.path(preview.sha256, ".png").read_bytes() == b"1 4"


def test_the_queue_is_worked_off_in_its_order_and_goes_on_after_a_failure(queue):
    ids = [queue.add(kind) for kind in ("steps", "crash", "steps")]
    assert queue.drain() == 3
    jobs = [queue.get(job_id) for job_id in ids]
    assert [job.state for job in jobs] == ["succeeded", "failed", "succeeded"]
    starts = [job.started_at for job in jobs]
    assert starts == sorted(starts)
    assert starts[1] >= jobs[0].finished_at


def test_a_crash_is_told_by_its_type_and_first_line_and_the_log_has_the_rest(queue):
    job_id = queue.add("crash")
    queue.drain()
    job = queue.get(job_id)
    assert (job.state, job.error) == (JobState.FAILED, "ZeroDivisionError: no steps per second")
    for line in ("about to divide", "Traceback (most recent call last):", "second line"):
        assert line in job.log_tail


def test_an_error_made_for_the_user_is_told_in_its_own_sentence(queue):
    job_id = queue.add("refuse")
    queue.drain()
    assert queue.get(job_id).error == "This project has no pictures yet: add some first."


KILLED = "the training process was ended by SIGKILL after 0 of 7 steps"
MEMORY = "the machine may have run out of memory"


def test_a_job_whose_process_is_killed_again_and_again_is_tried_three_times_and_no_more(queue):
    """A job that crashes whatever runs it must not block the queue for ever."""
    job_id, later = queue.add("killed", num_steps=7), queue.add("steps")
    assert queue.drain() == 2
    job = queue.get(job_id)
    assert (job.state, job.attempts) == (JobState.FAILED, 3)
    assert job.error == f"Tried 3 times; the last time: {KILLED}: {MEMORY}."
    assert job.notes == [f"T{KILLED[1:]}: {MEMORY}."]
    assert job.remedy == (
        "Look at the end of the log, close other programs, then train again with these settings: "
        "it goes on from the last checkpoint."
    )
    assert queue.get(later).state is JobState.SUCCEEDED


def test_a_child_that_leaves_without_a_word_is_tried_again_then_fails(queue):
    job_id = queue.add("leave", num_steps=7)
    queue.drain()
    assert queue.get(job_id).error == (
        "Tried 3 times; the last time: the training process ended with exit code 3 after 0 of 7 "
        "steps."
    )


def test_a_job_that_died_once_is_queued_again_at_its_place_and_succeeds(queue, tmp_path):
    first = queue.add("killed once", marker=str(tmp_path / "marker"))
    later = queue.add("steps")
    queue.drain()
    job = queue.get(first)
    assert (job.state, job.attempts, job.error) == (JobState.SUCCEEDED, 2, None)
    assert job.finished_at <= queue.get(later).started_at


def test_an_error_of_its_own_fails_a_job_at_once(queue):
    job_id = queue.add("crash")
    queue.drain()
    assert (queue.get(job_id).state, queue.get(job_id).attempts) == (JobState.FAILED, 1)


def test_a_child_that_cannot_be_started_fails_its_job(queue, settings, tmp_path):
    job_id = queue.add("steps")
    command = (str(tmp_path / "no such program"),)
    assert run_worker(settings, drain=True, child_command=command, timing=QUICK) == 1
    assert queue.get(job_id).error.startswith("The training process could not be started: ")


def test_a_job_that_is_cancelled_while_queued_is_never_started(queue, storage):
    job_id = queue.add("steps")
    queue.cancel(job_id)
    assert queue.drain() == 0
    assert queue.get(job_id).state is JobState.CANCELLED
    assert not storage.run_dir(job_id).exists()


def test_a_job_that_is_cancelled_while_it_runs_stops_within_a_step(queue, storage, start_serving):
    job_id = queue.add("steps", num_steps=1000, step_s=0.1)
    start_serving("drain")
    pid = queue.wait_for(job_id, lambda job: job.step >= 2).pid
    queue.cancel(job_id)
    asked = time.monotonic()
    job = queue.wait_for_end(job_id)
    assert time.monotonic() - asked < QUICK.cancel_grace_s
    assert (job.state, job.error, job.seconds_left) == (JobState.CANCELLED, None, None)
    wait_until(lambda: not psutil.pid_exists(pid))
    assert len(read_losses(storage.metrics_path(job_id))) < 1000
    with storage.database.session() as session:
        assert ArtifactRepository(session).of_job(job_id) == []


def test_a_child_that_does_not_obey_is_ended_with_all_that_it_started(
    queue, storage, start_serving
):
    job_id = queue.add("deaf")
    start_serving("drain")
    below = storage.run_dir(job_id) / "below.pid"
    wait_until(lambda: below.exists() and below.read_text())
    pids = [queue.get(job_id).pid, int(below.read_text())]
    queue.cancel(job_id)
    assert queue.wait_for_end(job_id).state is JobState.CANCELLED
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_a_new_worker_sees_the_child_of_a_killed_worker_to_its_end(queue, start_serving, tmp_path):
    job_id = queue.add("until", until=str(tmp_path / "go"))
    first = start_serving("drain")
    pid = queue.wait_for(job_id, lambda job: job.pid is not None).pid
    first.kill()
    first.wait(30)
    follower = threading.Thread(target=queue.drain)
    follower.start()
    beaten = queue.get(job_id).heartbeat_at
    queue.wait_for(job_id, lambda job: job.heartbeat_at > beaten)
    assert queue.get(job_id).state is JobState.RUNNING
    (tmp_path / "go").touch()
    follower.join(60)
    job = queue.get(job_id)
    assert (job.state, job.pid, job.attempts) == (JobState.SUCCEEDED, pid, 1)


def test_an_adopted_child_is_cancelled_like_any_other(queue, storage, start_serving):
    job_id = queue.add("deaf")
    first = start_serving("drain")
    below = storage.run_dir(job_id) / "below.pid"
    wait_until(lambda: below.exists() and below.read_text())
    first.kill()
    first.wait(30)
    queue.cancel(job_id)
    queue.drain()
    job = queue.get(job_id)
    assert job.state is JobState.CANCELLED
    wait_until(lambda: not psutil.pid_exists(job.pid))
    wait_until(lambda: not psutil.pid_exists(int(below.read_text())))


def test_a_child_that_died_while_no_worker_watched_is_run_again(queue, start_serving, tmp_path):
    job_id = queue.add("until", num_steps=5, until=str(tmp_path / "go"))
    first = start_serving("drain")
    pid = queue.wait_for(job_id, lambda job: job.pid is not None).pid
    first.kill()
    psutil.Process(pid).kill()
    first.wait(30)
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")
    later = queue.add("steps")
    (tmp_path / "go").touch()
    queue.drain()
    job = queue.get(job_id)
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)
    assert job.notes == [
        "The training process ended after 0 of 5 steps while no worker watched it."
    ]
    assert queue.get(later).state is JobState.SUCCEEDED


def test_a_worker_killed_before_its_child_had_a_name_leaves_no_job_running_for_ever(queue):
    job_id = queue.add("steps")
    queue.claim()
    queue.drain()
    job = queue.get(job_id)
    assert job.state is JobState.SUCCEEDED
    assert job.notes == ["The studio was stopped before this job began."]


@pytest.mark.parametrize("asked", [None, "cancel", "pause"])
def test_a_pid_reused_since_another_boot_is_reaped_and_the_innocent_process_lives_on(
    queue, innocent, asked
):
    job_id = queue.add("steps")
    queue.claim(innocent.pid, innocent.create_time() - 3600)
    if asked is not None:
        queue.change(lambda jobs: getattr(jobs, f"request_{asked}")(job_id))
    queue.drain()
    expected = {None: JobState.SUCCEEDED, "cancel": JobState.CANCELLED, "pause": JobState.PAUSED}
    assert queue.get(job_id).state is expected[asked]
    time.sleep(0.2)
    assert innocent.status() != psutil.STATUS_ZOMBIE


def test_a_child_whose_job_was_given_to_another_meanwhile_does_nothing(queue, settings, innocent):
    """Its worker died at once after starting it; another one has taken the job up."""
    from dyod_studio.jobs.child import run_child

    job_id = queue.add("steps")
    queue.claim(innocent.pid, innocent.create_time())
    run_child(settings, job_id, lambda *_: pytest.fail("it ran"))
    job = queue.get(job_id)
    assert (job.state, job.pid) == (JobState.RUNNING, innocent.pid)


def test_a_project_deleted_while_its_job_runs_takes_everything_with_it(
    queue, storage, start_serving
):
    job_id = queue.add("steps", num_steps=1000, step_s=0.05)
    with storage.database.session() as session:
        other = ProjectRepository(session).add("lamps", base="starter", token="<lamps>")
        later = JobRepository(session).add(other.id, "steps", {}, 2)
    start_serving("drain")
    pid = queue.wait_for(job_id, lambda job: job.step >= 2).pid
    delete_project(storage, queue.project_id)
    assert queue.wait_for_end(later.id).state is JobState.SUCCEEDED
    assert not psutil.pid_exists(pid)
    assert not storage.run_dir(job_id).exists()
    kept = {path.read_bytes() for path in (storage.root / "files").glob("??/*")}
    assert kept == {b"2 1", b"2 2", b"weights of project 2"}
    with pytest.raises(NotFoundError):
        queue.get(job_id)


def test_a_second_worker_takes_over_from_a_killed_one(queue, start_serving, innocent, tmp_path):
    job_id = queue.add("until", until=str(tmp_path / "go"))
    first = start_serving("drain")
    queue.wait_for(job_id, lambda job: job.pid is not None)
    start_serving(innocent.pid)
    first.kill()
    first.wait(30)
    (tmp_path / "go").touch()
    later = queue.add("steps")
    assert queue.wait_for_end(job_id).state is JobState.SUCCEEDED
    assert queue.wait_for_end(later).state is JobState.SUCCEEDED
    assert queue.get(job_id).attempts == 1


def test_a_worker_outlives_its_parent_until_the_queue_is_empty(
    queue, start_serving, innocent, tmp_path
):
    first = queue.add("until", until=str(tmp_path / "go"))
    last = queue.add("steps")
    worker = start_serving(innocent.pid)
    queue.wait_for(first, lambda job: job.pid is not None)
    innocent.kill()
    time.sleep(0.5)
    assert worker.poll() is None
    (tmp_path / "go").touch()
    assert worker.wait(60) == 0
    assert queue.get(last).state is JobState.SUCCEEDED


def test_a_worker_waits_for_work_while_its_parent_lives(queue, start_serving, innocent):
    worker = start_serving(innocent.pid)
    time.sleep(2)
    assert worker.poll() is None
    assert queue.wait_for_end(queue.add("steps")).state is JobState.SUCCEEDED
    innocent.kill()
    assert worker.wait(30) == 0


PAGE = """
import time
from dyod_studio.jobs.worker import start_worker
from dyod_studio.settings import Settings

worker = start_worker(Settings())
print(worker.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_the_page_starts_a_worker_that_goes_on_when_the_page_is_killed(queue, settings):
    """The jobs are of a method that does not exist: the real child refuses them at once."""
    jobs = [queue.add("sorcery") for _ in range(2)]
    command = [sys.executable, "-c", PAGE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(settings)) as page:
        assert page.stdout is not None
        worker = psutil.Process(int(page.stdout.readline()))
        queue.wait_for(jobs[0], lambda job: job.state is not JobState.QUEUED)
        page.kill()
    for job_id in jobs:
        job = queue.wait_for_end(job_id)
        assert job.state is JobState.FAILED
        assert "There is no method 'sorcery'" in job.error
    wait_until(lambda: not worker.is_running())


def test_the_worker_is_imported_without_torch():
    heavy = "{'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    modules = "dyod_studio.jobs.worker, dyod_studio.requests.sampling, dyod_studio.jobs.child"
    script = f"import sys, {modules}; print({heavy})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
