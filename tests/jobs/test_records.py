import threading
import time

import pytest

from dyod_studio.errors import TrainingCancelledError
from dyod_studio.jobs.logs import MAX_BYTES, read_tail
from dyod_studio.jobs.metrics import open_metrics, read_losses
from dyod_studio.jobs.recording import Pace, Recorder
from dyod_studio.jobs.retrying import patiently
from dyod_studio.store.cleaning import delete_project
from dyod_studio.store.database import Database
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.training.events import ArtifactReady, PreviewsReady, StepDone


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
    assert patiently(write) == 1
    thread.join()
    with writer.session() as session:
        assert [p.name for p in ProjectRepository(session).all()] == ["chairs", "lamps"]
    holder.dispose()
    writer.dispose()
