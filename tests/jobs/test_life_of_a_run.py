"""What happens to a real run: the real loop, checkpoints and processes, with a toy to learn."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from safetensors.torch import load_file

from dyod_studio.jobs.metrics import read_losses, read_rows
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.records import Job, JobState
from dyod_studio.store.tables import CalibrationRow
from dyod_studio.training.checkpoints import list_checkpoints
from tests.jobs.conftest import wait_until

ROOT = Path(__file__).parents[2]
FOREVER = 600.0


@pytest.fixture
def train_now(queue, settings, monkeypatch) -> Callable[[], Job]:
    """Do what the worker and the child do with the next job, in this process: torch is here."""
    from dyod_studio.jobs import training as training_job
    from dyod_studio.jobs.child import run_child, train_job
    from dyod_studio.requests.part_kinds import PART_KINDS
    from tests.jobs import toy

    monkeypatch.setitem(PART_KINDS, "toy", toy.KIND)
    monkeypatch.setattr(training_job, "load_inputs", toy.load_toys)

    def train() -> Job:
        job_id = queue.claim()
        run_child(settings, job_id, train_job)
        return queue.get(job_id)

    return train


def add(queue, steps: int = 12, **config) -> int:
    defaults = {"checkpoint_every": 3, "preview_every": 4, "batch_size": 4}
    return queue.add("toy", steps, **{**defaults, "steps": steps, **config})


def artifact_of(queue, job_id: int) -> str:
    with queue.storage.database.session() as session:
        (artifact,) = ArtifactRepository(session).of_job(job_id)
        return artifact.sha256


def assert_nothing_half_written(run_dir: Path) -> None:
    assert [p.name for p in run_dir.rglob("*") if p.suffix in (".partial", ".dropped")] == []
    for checkpoint in list_checkpoints(run_dir):
        assert set(load_file(checkpoint.path / "task.safetensors")) == {"vector"}
        assert (checkpoint.path / "optimizer.safetensors").exists()


@pytest.mark.parametrize(
    ("part", "dawdle_s"),
    [
        ("step", 0.4),
        ("preview", 0.4),
        ("checkpoint", 0.2),
        pytest.param("step", FOREVER, marks=pytest.mark.slow),
        pytest.param("preview", FOREVER, marks=pytest.mark.slow),
        ("checkpoint", FOREVER),
    ],
)
def test_cancelling_during_a_step_a_preview_or_a_checkpoint_leaves_nothing_half_and_nothing_running(
    queue, storage, start_serving, tmp_path, part, dawdle_s
):
    marker = tmp_path / "marker"
    job_id = add(queue, 500, dawdles_at=part, dawdle_s=dawdle_s, marker=str(marker))
    worker = psutil.Process(start_serving("drain").pid)
    wait_until(marker.exists)
    tree = worker.children(recursive=True)
    assert queue.get(job_id).pid in [process.pid for process in tree]
    queue.cancel(job_id)
    job = queue.wait_for_end(job_id)
    assert (job.state, job.error, job.remedy) == (JobState.CANCELLED, None, None)
    _, alive = psutil.wait_procs([*tree, worker], timeout=60)
    assert alive == []
    assert_nothing_half_written(storage.run_dir(job_id))
    with storage.database.session() as session:
        assert ArtifactRepository(session).of_job(job_id) == []


@pytest.mark.slow
def test_a_run_that_is_paused_and_resumed_learns_the_same_bit_for_bit(
    queue, storage, start_serving, train_now, tmp_path
):
    whole = add(queue)
    assert train_now().state is JobState.SUCCEEDED
    marker = tmp_path / "marker"
    paused = add(queue, dawdles_at="step", dawdle_s=0.2, marker=str(marker))
    worker = start_serving("drain")
    queue.wait_for(paused, lambda job: job.step >= 4)
    queue.change(lambda jobs: jobs.request_pause(paused))
    job = queue.wait_for(paused, lambda job: job.state is JobState.PAUSED)
    assert worker.wait(60) == 0
    assert not psutil.pid_exists(job.pid)
    (*_, last) = list_checkpoints(storage.run_dir(paused))
    assert 4 <= last.step < 12
    assert not last.is_kept
    queue.change(lambda jobs: jobs.resume(paused))
    assert train_now().state is JobState.SUCCEEDED
    assert artifact_of(queue, paused) == artifact_of(queue, whole)
    steps = [row["step"] for row in read_rows(storage.metrics_path(paused))]
    assert steps == list(range(1, 13))
    assert read_losses(storage.metrics_path(paused)) == read_losses(storage.metrics_path(whole))


@pytest.mark.slow
def test_saving_and_sampling_now_are_obeyed_within_a_step_and_the_checkpoint_is_kept(
    queue, storage, start_serving, tmp_path
):
    settings = {"checkpoint_every": 1000, "preview_every": 1000, "marker": str(tmp_path / "m")}
    job_id = add(queue, 1000, dawdles_at="step", dawdle_s=0.2, **settings)
    start_serving("drain")
    queue.wait_for(job_id, lambda job: job.step >= 2)
    queue.change(lambda jobs: jobs.request_save(job_id))
    queue.wait_for(job_id, lambda job: not job.save_requested)
    (saved,) = list_checkpoints(storage.run_dir(job_id))
    assert saved.is_kept
    assert len(saved.previews) == 1
    queue.change(lambda jobs: jobs.request_sample(job_id))
    queue.wait_for(job_id, lambda job: not job.sample_requested)
    with storage.database.session() as session:
        (preview,) = JobRepository(session).latest_previews(job_id)
    assert preview.step > saved.step
    queue.cancel(job_id)
    queue.wait_for_end(job_id)


def test_a_full_disk_fails_a_run_in_a_sentence_and_a_retry_goes_on_from_the_last_checkpoint(
    queue, storage, train_now, monkeypatch
):
    """The call that writes a checkpoint stops half way, as it does when no block is free."""
    from tests.jobs import toy

    whole = add(queue)
    assert train_now().state is JobState.SUCCEEDED
    job_id = add(queue)
    with monkeypatch.context() as full:
        full.setattr("dyod_studio.training.run_state.save_file", toy.full_after(5))
        job = train_now()
    assert job.state is JobState.FAILED
    assert job.error.startswith("The disk is full: nothing more can be written to")
    assert job.remedy.startswith("Make room on the disk that holds the studio's storage")
    assert job.attempts == 1
    run_dir = storage.run_dir(job_id)
    assert [checkpoint.step for checkpoint in list_checkpoints(run_dir)] == [3]
    assert_nothing_half_written(run_dir)
    with closing(sqlite3.connect(storage.database.path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    queue.change(lambda jobs: toy.retry(jobs, job_id, start_step=3))
    again = train_now()
    assert again.state is JobState.SUCCEEDED
    assert read_rows(storage.metrics_path(again.id))[0]["step"] == 4
    assert artifact_of(queue, again.id) == artifact_of(queue, whole)


@pytest.mark.slow
def test_on_a_real_disk_that_is_full_the_database_is_sound_and_a_retry_goes_on(tmp_path):
    """Database, log and checkpoints share a disk of 16 MB; a checkpoint takes 9."""
    if shutil.which("unshare") is None or not works(["unshare", "-rm", "true"]):
        pytest.skip("this system lets nobody mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=16m tmpfs {disk}"
    script = f'{mount} && exec "{sys.executable}" -m tests.jobs.full_disk {disk}'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["error"].startswith("The disk is full: ")
    assert said["state"] == "failed"
    assert said["steps"] == [3]
    assert said["integrity"] == "ok"
    assert said["again"] == "succeeded"
    assert said["is_identical"]


def works(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def test_a_run_that_does_not_fit_takes_the_next_rung_says_so_and_finishes(
    queue, storage, train_now
):
    """The allocator is asked for what it cannot give, in the step itself."""
    add(queue, batch_size=8, fits=2)
    job = train_now()
    assert (job.state, job.attempts, job.step) == (JobState.SUCCEEDED, 1, 12)
    assert job.adjustments["accumulation"] == 4
    assert job.notes == [
        "The memory was full: each batch of 8 is computed 4 at a time.",
        "The memory was full: each batch of 8 is computed 2 at a time.",
    ]
    with storage.database.session() as session:
        (known,) = session.query(CalibrationRow).all()
    assert '"accumulation":4' in known.key


def test_a_run_that_never_fits_fails_with_the_remedy(queue, train_now):
    add(queue, batch_size=2, fits=0)
    job = train_now()
    assert job.state is JobState.FAILED
    assert job.error.startswith("Step 1 did not fit into memory with 1 of 2 pictures at a time")
    assert job.remedy.startswith("Close other programs or choose a smaller batch")
    assert job.adjustments["previews"] is False


def test_a_loss_that_is_not_finite_stops_the_run_at_its_last_good_checkpoint(
    queue, storage, train_now
):
    job_id = add(queue, diverges_at=8)
    job = train_now()
    assert job.state is JobState.FAILED
    assert job.error.startswith("Loss became nan at step 8: lower the learning rate")
    assert job.remedy.startswith("Halve the learning rate")
    assert [c.step for c in list_checkpoints(storage.run_dir(job_id))][-1] == 6
    assert_nothing_half_written(storage.run_dir(job_id))


def test_a_run_is_finished_from_a_chosen_checkpoint_without_a_step(queue, storage, train_now):
    first = add(queue, diverges_at=8)
    config = train_now().config

    def choose(jobs: JobRepository) -> None:
        start = {"continues_job_id": first, "start_step": 6, "is_finish_only": True}
        jobs.add(queue.project_id, "toy", config, 12, **start)

    queue.change(choose)
    job = train_now()
    assert (job.state, job.step) == (JobState.SUCCEEDED, 6)
    made = load_file(storage.files.path(artifact_of(queue, job.id), ".safetensors"))
    kept = load_file(storage.run_dir(first) / "checkpoints" / "step_000006" / "task.safetensors")
    assert made["vector"].tolist() == kept["vector"].tolist()


def test_a_checkpoint_that_is_gone_is_named(queue, train_now):
    def add_impossible(jobs: JobRepository) -> None:
        first = jobs.add(queue.project_id, "toy", {}, 3)
        jobs.request_cancel(first.id)
        jobs.add(queue.project_id, "toy", {}, 3, continues_job_id=first.id, start_step=2)

    queue.change(add_impossible)
    assert train_now().error == (
        "The checkpoint of step 2 of job 1 is gone: choose another one, or train from the start."
    )
