"""Sweeps on a tiny base: measured, put down in the middle, taken up again."""

import shutil

import pytest

from dyod_studio.evaluation.features import kept_features
from dyod_studio.evaluation.plan import EVALUATION, EvaluationConfig, points_of
from dyod_studio.evaluation.results import (
    Figures,
    PointResult,
    begin_point,
    point_dir,
    points_dir,
    read_errors,
    read_points,
)
from dyod_studio.jobs.evaluation import SweepProgress
from dyod_studio.jobs.worker import run_worker
from dyod_studio.services.runs import measured_again
from dyod_studio.settings import Settings
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.records import JobState
from dyod_studio.store.storage import open_storage
from tests.jobs.conftest import Queue

NUM = 5


class Killed(BaseException):
    """The power went."""


@pytest.fixture
def sweeping(trained_dir, tmp_path):
    """A queue on a copy of a trained project, and the settings of a small sweep of t0."""
    root = shutil.copytree(trained_dir, tmp_path / "storage")
    settings = Settings(storage=root, device="cpu")
    with open_storage(root, settings.resolved_database_url, migrate=True) as storage:
        queue = Queue(settings, storage, 1)
        with storage.database.session() as session:
            rows = ArtifactRepository(session).of_project(1)
            parts = {row.kind: row.sha256 for row in rows}
        config = EvaluationConfig(
            values=(0.2, 0.6), num=NUM, num_inference_steps=5, artifacts=parts
        )
        yield queue, config


def queued(queue: Queue, config: EvaluationConfig) -> int:
    total = len(points_of(config)) * config.num
    return queue.add(EVALUATION, total, **config.model_dump(mode="json"))


def run_here(queue: Queue, job_id: int) -> None:
    from dyod_studio.jobs.child import run_child, train_job

    assert queue.claim() == job_id
    run_child(queue.settings, job_id, train_job)


def test_a_sweep_killed_in_the_middle_goes_on_without_repeating_finished_points(
    sweeping, monkeypatch
):
    queue, config = sweeping
    job_id = queued(queue, config)
    run_dir = queue.storage.run_dir(job_id)
    advance = SweepProgress.advance

    def advance_until_killed(self: SweepProgress, pictures: int) -> None:
        if self.done == 2 * NUM:
            raise Killed
        advance(self, pictures)

    monkeypatch.setattr(SweepProgress, "advance", advance_until_killed)
    with pytest.raises(Killed):
        run_here(queue, job_id)
    assert [point.name for point in read_points(run_dir)] == ["t0 0.2", "t0 0.6"]
    assert (points_dir(run_dir) / "02.partial").is_dir()
    first = (point_dir(run_dir, 0) / "point.json").stat().st_mtime_ns

    monkeypatch.setattr(SweepProgress, "advance", advance)
    queue.change(lambda jobs: jobs.put_back(job_id, "It died."))
    run_here(queue, job_id)
    job = queue.get(job_id)
    assert (job.state, job.step) == (JobState.SUCCEEDED, 4 * NUM), job.log_tail
    points = read_points(run_dir)
    assert [point.role for point in points] == ["sweep", "sweep", "prompt", "vae"]
    assert [point.calls for point in points] == [1, 3, 5, 0]
    assert (point_dir(run_dir, 0) / "point.json").stat().st_mtime_ns == first
    (figures,) = points[0].figures.values()
    assert set(figures) == {*config.metrics} - {"clip_t", "dino"}
    assert all((point.folder / file).is_file() for point in points for file in point.strip)
    assert points[0].strip == points[2].strip == ("0.png", "1.png", "2.png", "3.png", "4.png")
    assert "fewer pictures" in " ".join(points[0].notes)
    ((name, of_set),) = kept_features(points_dir(run_dir)).items()
    assert of_set.shape[0] > 0
    for point in points:
        kept = kept_features(point.folder)
        assert list(kept) == [name] == list(point.figures)
        assert kept[name].shape == (NUM, of_set.shape[1])
    best = min(points[:2], key=lambda point: figures_of(point)["kid"].value)
    errors = read_errors(run_dir)
    assert set(errors) == {point.name for point in points} - {best.name}
    assert all(error > 0 for error in errors.values())


def figures_of(point: PointResult) -> Figures:
    """What the only extractor measured."""
    (figures,) = point.figures.values()
    return figures


def test_a_failed_sweep_that_is_asked_for_again_measures_only_what_lacks(sweeping, monkeypatch):
    queue, config = sweeping
    job_id = queued(queue, config)
    advance = SweepProgress.advance

    def advance_until_full(self: SweepProgress, pictures: int) -> None:
        if self.done == 2 * NUM:
            raise OSError(28, "No space left on device")
        advance(self, pictures)

    monkeypatch.setattr(SweepProgress, "advance", advance_until_full)
    run_here(queue, job_id)
    assert queue.get(job_id).state is JobState.FAILED
    monkeypatch.setattr(SweepProgress, "advance", advance)
    with queue.storage.database.session() as session:
        again = measured_again(queue.storage, session, JobRepository(session).get(job_id)).id
    run_dir = queue.storage.run_dir(again)
    first = (point_dir(run_dir, 0) / "point.json").stat().st_mtime_ns
    drawn: list[str] = []
    begin = begin_point
    monkeypatch.setattr(
        "dyod_studio.jobs.evaluation.begin_point",
        lambda folder, index: drawn.append(str(index)) or begin(folder, index),
    )
    run_here(queue, again)
    job = queue.get(again)
    assert (job.state, job.step) == (JobState.SUCCEEDED, 4 * NUM), job.log_tail
    assert drawn == ["2", "3"]
    assert len(read_points(run_dir)) == 4
    assert (point_dir(run_dir, 0) / "point.json").stat().st_mtime_ns == first


def test_a_pause_keeps_the_measured_points_and_a_missing_extractor_is_told(sweeping, monkeypatch):
    queue, config = sweeping
    config = config.model_copy(
        update={"extractors": ("no/such-clip",), "metrics": ("kid",), "has_baselines": False}
    )
    monkeypatch.setattr("dyod_studio.jobs.evaluation.LOOK_EVERY_S", 0.0)
    job_id = queued(queue, config)
    run_dir = queue.storage.run_dir(job_id)
    advance = SweepProgress.advance

    def advance_and_ask(self: SweepProgress, pictures: int) -> None:
        advance(self, pictures)
        if self.done == NUM:
            queue.change(lambda jobs: jobs.request_pause(job_id))

    monkeypatch.setattr(SweepProgress, "advance", advance_and_ask)
    run_here(queue, job_id)
    assert queue.get(job_id).state is JobState.PAUSED
    assert [point.name for point in read_points(run_dir)] == ["t0 0.2"]
    monkeypatch.setattr(SweepProgress, "advance", advance)
    queue.change(lambda jobs: jobs.resume(job_id))
    run_here(queue, job_id)
    job = queue.get(job_id)
    assert job.state is JobState.SUCCEEDED, job.log_tail
    assert "'no/such-clip' is neither here nor within reach" in job.notes[0]
    for point in read_points(run_dir):
        ((name, figures),) = point.figures.items()
        assert name.startswith("CLIP of ")
        assert set(figures) == {"kid"}


@pytest.mark.slow
def test_the_worker_measures_in_a_process_of_its_own(sweeping):
    queue, config = sweeping
    job_id = queued(queue, config.model_copy(update={"values": (0.4,)}))
    assert run_worker(queue.settings, once=True) == 1
    job = queue.get(job_id)
    assert job.state is JobState.SUCCEEDED, job.log_tail
    assert len(read_points(queue.storage.run_dir(job_id))) == 3


def test_a_cancelled_sweep_ends_within_a_step(sweeping, monkeypatch):
    queue, config = sweeping
    monkeypatch.setattr("dyod_studio.jobs.evaluation.LOOK_EVERY_S", 0.0)
    job_id = queued(queue, config)
    look = SweepProgress.look

    def ask_then_look(self: SweepProgress, *progress: object) -> None:
        with queue.storage.database.session() as session:
            JobRepository(session).request_cancel(job_id)
        look(self, *progress)

    monkeypatch.setattr(SweepProgress, "look", ask_then_look)
    run_here(queue, job_id)
    assert queue.get(job_id).state is JobState.CANCELLED
