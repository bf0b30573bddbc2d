import threading
import time

import pytest

from dyod_studio.errors import TrainingCancelledError, TrainingPausedError
from dyod_studio.jobs.child import MAX_BYTES, read_tail
from dyod_studio.jobs.metrics import (
    MAX_OPEN,
    LossReader,
    Pace,
    open_metrics,
    read_losses,
    read_rows,
)
from dyod_studio.jobs.recorder import Recorder
from dyod_studio.store.cleaning import delete_project
from dyod_studio.store.database import Database, retry_while_busy
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.store.records import JobState
from dyod_studio.training.run import (
    ArtifactReady,
    CheckpointSaved,
    Note,
    PicturesPrepared,
    PreviewsFailed,
    PreviewsReady,
    RunControl,
    StepDone,
)


def test_the_tail_is_the_last_forty_lines_with_a_redrawn_bar_as_it_stands(tmp_path):
    path = tmp_path / "log.txt"
    lines = [f"line {number}" for number in range(100)]
    bar = "\rLoading 10%\rLoading 50%\rLoading 100%"
    path.write_text("\n".join(lines) + "\n\n" + bar + "\nlast\n")
    tail = read_tail(path).split("\n")
    assert len(tail) == 40
    assert tail[-3:] == ["line 99", "Loading 100%", "last"]


def test_the_tail_of_a_huge_log_is_read_from_its_end_only(tmp_path):
    path = tmp_path / "log.txt"
    path.write_bytes("é".encode() * MAX_BYTES + b"\nlast line\n")
    tail = read_tail(path).split("\n")
    assert tail[-1] == "last line"
    assert len(tail[0]) == 400
    assert read_tail(tmp_path / "missing.txt") == ""


def test_a_metrics_line_that_a_kill_cut_off_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_losses(path) == []
    with open_metrics(path) as metrics:
        metrics.write({"step": 1, "loss": 0.5})
        assert read_losses(path) == [(1, 0.5)]
    with path.open("a") as file:
        file.write('{"step": 2, "lo')
    assert read_losses(path) == [(1, 0.5)]


def test_a_run_that_goes_on_after_a_kill_reads_every_step_once_as_it_was_made_last(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with open_metrics(path) as metrics:
        for step in (1, 2, 3):
            metrics.write({"step": step, "loss": float(step)})
    with path.open("a") as file:
        file.write('{"step": 4, "lo')
    with open_metrics(path) as metrics:
        for step in (3, 4):
            metrics.write({"step": step, "loss": 10.0 * step})
    assert [row["step"] for row in read_rows(path)] == [1, 2, 3, 3, 4]
    assert read_losses(path) == [(1, 1.0), (2, 2.0), (3, 30.0), (4, 40.0)]


def test_what_a_power_cut_left_in_the_metrics_is_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1, "loss": 0.5}\n\x00\x00\xff\n7\n{"loss": 1}\n')
    assert read_losses(path) == [(1, 0.5)]


def test_a_preview_that_fails_is_noted_and_the_run_goes_on(recorder, queue):
    recorder.record(PreviewsFailed(1, "OutOfMemoryError: too large"))
    recorder.record(StepDone(2, 3, 0.5, 0.1, 1.0, 9.0))
    job = queue.get(1)
    assert job.notes == ["Preview pictures failed: OutOfMemoryError: too large"]
    assert (job.state, job.step, job.peak_memory_mb) == (JobState.RUNNING, 2, 9.0)


def test_what_a_run_decides_by_itself_stands_beside_the_job(recorder, queue):
    recorder.record(Note("It starts from “shoe”."))
    assert queue.get(1).notes == ["It starts from “shoe”."]


def test_a_pause_is_obeyed_where_nothing_is_lost(recorder, queue, tmp_path):
    queue.change(lambda jobs: jobs.request_pause(1))
    recorder.record(StepDone(1, 3, 0.5, 0.1, 1.0))
    assert recorder.control() == RunControl(pause=True)
    with pytest.raises(TrainingPausedError):
        recorder.record(CheckpointSaved(1, tmp_path, 0.5))
    with pytest.raises(TrainingPausedError):
        recorder.record(PicturesPrepared(1, 2))


def test_the_log_says_what_is_being_prepared(recorder, caplog):
    caplog.set_level("INFO", logger="dyod_studio")
    recorder.record(PicturesPrepared(4, 83))
    recorder.record(PicturesPrepared(2, 24, "trials of first words"))
    assert caplog.messages == [
        "Prepared 4 of 83 pictures.",
        "Prepared 2 of 24 trials of first words.",
    ]


def test_a_request_that_comes_while_another_is_obeyed_is_not_forgotten(recorder, queue, tmp_path):
    recorder.record(StepDone(1, 3, 0.5, 0.1, 1.0))
    assert recorder.control() == RunControl()
    queue.change(lambda jobs: jobs.request_save(1))
    recorder.record(CheckpointSaved(1, tmp_path, 0.5))
    assert queue.get(1).save_requested
    recorder.record(StepDone(2, 3, 0.5, 0.1, 1.0))
    assert recorder.control() == RunControl(save_now=True)
    recorder.record(CheckpointSaved(2, tmp_path, 0.5))
    assert not queue.get(1).save_requested


def test_the_pace_is_measured_from_the_first_step_on():
    pace = Pace()
    assert pace.seconds_left(11, 20, now=100.0) is None
    assert pace.seconds_left(13, 20, now=104.0) == 14.0
    assert pace.seconds_left(20, 20, now=118.0) == 0.0


@pytest.fixture
def recorder(queue, storage, tmp_path):
    queue.add("steps")
    job_id = queue.claim()
    with open_metrics(tmp_path / "metrics.jsonl") as metrics:
        yield Recorder(storage, job_id, metrics)


def test_a_run_whose_project_was_deleted_stops_and_leaves_no_file(
    recorder, queue, storage, tmp_path
):
    preview = tmp_path / "preview.png"
    preview.write_bytes(b"preview")
    recorder.record(PreviewsReady(1, (preview,)))
    recorder.record(ArtifactReady("vae", preview))
    delete_project(storage, queue.project_id)
    for act in (
        lambda: recorder.record(PreviewsReady(2, (preview,))),
        lambda: recorder.record(StepDone(3, 3, 0.5, 0.1, 1.0)),
        lambda: recorder.succeed("fingerprint"),
    ):
        with pytest.raises(TrainingCancelledError):
            act()
    assert list((storage.root / "files").glob("??/*")) == []


def test_a_locked_database_delays_a_write_and_does_not_lose_it(tmp_path):
    url = f"sqlite:///{tmp_path / 'studio.db'}"
    holder, writer = Database(url), Database(url, busy_timeout_s=0.05)
    holder.migrate()
    held = threading.Event()

    def hold() -> None:
        with holder.session() as session:
            ProjectRepository(session).add("chairs", base="starter", token="<chairs>")
            held.set()
            time.sleep(0.5)

    def write() -> int:
        with writer.session() as session:
            lamps = ProjectRepository(session).add("lamps", base="starter", token="<lamps>")
            return JobRepository(session).add(lamps.id, "vae", {}, 1).id

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    assert retry_while_busy(write) == 1
    thread.join()
    with writer.session() as session:
        assert [p.name for p in ProjectRepository(session).all()] == ["chairs", "lamps"]
    holder.dispose()
    writer.dispose()


def test_a_growing_file_is_read_on_and_gives_what_reading_all_of_it_gives(tmp_path, monkeypatch):
    path, reader = tmp_path / "metrics.jsonl", LossReader()
    assert reader.read(path) == []
    for steps in ((1, 2, 3), (3, 4), ()):
        with open_metrics(path) as metrics:
            for step in steps:
                metrics.write({"step": step, "loss": step + 0.5 * len(steps)})
            assert reader.read(path) == read_losses(path)
        with path.open("a") as file:
            file.write('{"step": 9, "lo')
        assert reader.read(path) == read_losses(path)
    known, parsed = read_losses(path), []
    monkeypatch.setattr("dyod_studio.jobs.metrics._parse", parsed.append)
    assert reader.read(path) == known
    assert parsed == [""]


def test_a_metrics_file_that_was_begun_anew_is_read_anew(tmp_path):
    path, reader = tmp_path / "metrics.jsonl", LossReader()
    path.write_text('{"step": 1, "loss": 1.0}\n{"step": 2, "loss": 2.0}\n')
    assert len(reader.read(path)) == 2
    path.write_text('{"step": 1, "loss": 7.0}\n')
    assert reader.read(path) == [(1, 7.0)]
    path.unlink()
    assert reader.read(path) == []


def test_a_reader_forgets_the_runs_asked_for_longest_ago(tmp_path):
    reader = LossReader()
    for number in range(MAX_OPEN + 3):
        path = tmp_path / f"{number}.jsonl"
        path.write_text(f'{{"step": {number}, "loss": 1.0}}\n')
        assert reader.read(path) == [(number, 1.0)]
    assert len(reader._files) == MAX_OPEN
    assert reader.read(tmp_path / "0.jsonl") == [(0, 1.0)]
