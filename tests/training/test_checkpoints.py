"""The whole state of a run on disk: complete or not there, kept or dropped, bit for bit."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from dyod_studio.errors import StorageFullError
from dyod_studio.training import checkpoints, run_state
from dyod_studio.training.checkpoints import best_checkpoint, list_checkpoints
from dyod_studio.training.run import Adjustments, CheckpointSaved, Run, RunControl
from tests.training.toy import Toy, config_of, events_of, losses_of, run_toy, weights

ROOT = Path(__file__).parents[2]
FULL = OSError(28, "No space left on device")
FULL_IN_RUST = SafetensorError("I/O error: No space left on device (os error 28)")


def steps_in(run_dir):
    return [checkpoint.step for checkpoint in list_checkpoints(run_dir)]


def keep_all(monkeypatch):
    monkeypatch.setattr(checkpoints, "KEPT_CHECKPOINTS", 1000)


@pytest.mark.parametrize("accumulation", [1, 4])
def test_from_any_checkpoint_a_run_with_dropout_ends_bit_identical(
    tmp_path, monkeypatch, accumulation
):
    keep_all(monkeypatch)
    adjustments = Adjustments(accumulation=accumulation)
    whole = Toy(config_of(checkpoint_every=1))
    events = list(events_of(whole, Run(tmp_path / "whole", adjustments=adjustments)))
    saved = [event for event in events if isinstance(event, CheckpointSaved)]
    assert len(saved) == 12
    for event in saved:
        torch.manual_seed(event.step)  # another process, with other random numbers behind it
        rest = Toy(config_of(checkpoint_every=1))
        run = Run(tmp_path / f"rest {event.step}", event.path, adjustments=adjustments)
        rest_events = list(events_of(rest, run))
        expected = {step: loss for step, loss in losses_of(events).items() if step > event.step}
        assert losses_of(rest_events) == expected
        assert torch.equal(weights(rest), weights(whole))
        later = [e.loss for e in rest_events if isinstance(e, CheckpointSaved)]
        assert later == [e.loss for e in saved if e.step > event.step]


def test_a_checkpoint_holds_its_previews_loss_adjustments_and_time(tmp_path):
    _, events = run_toy(tmp_path)
    losses = losses_of(events)
    last = list_checkpoints(tmp_path)[-1]
    assert last.loss == pytest.approx(sum(losses[step] for step in (9, 10, 11, 12)) / 4)
    assert [path.name for path in last.previews] == ["step_000012_0.png"]
    assert all(path.parent == last.path / "previews" for path in last.previews)
    assert not last.is_kept
    assert last.saved_at.tzinfo is not None
    state = json.loads((last.path / "state.json").read_text())
    assert Adjustments.from_dict(state["adjustments"]) == Adjustments()


def test_the_last_two_and_the_best_are_kept(tmp_path, monkeypatch):
    losses = {4: 0.5, 8: 0.1, 12: 0.4, 16: 0.3, 20: 0.2}
    monkeypatch.setattr(run_state.RunState, "mean_loss", property(lambda state: losses[state.step]))
    run_toy(tmp_path, steps=20)
    assert steps_in(tmp_path) == [8, 16, 20]
    best = best_checkpoint(list_checkpoints(tmp_path))
    assert best is not None
    assert best.step == 8
    assert not list(tmp_path.rglob("*.dropped"))


def test_a_run_without_checkpoints_lists_none(tmp_path):
    assert list_checkpoints(tmp_path) == []
    assert best_checkpoint([]) is None


def test_a_checkpoint_that_was_being_written_or_dropped_is_no_checkpoint(tmp_path):
    run_toy(tmp_path, steps=8)
    whole = tmp_path / "checkpoints/step_000008"
    for suffix in (".partial", ".dropped"):
        shutil.copytree(whole, whole.with_name("step_000012").with_suffix(suffix))
    assert steps_in(tmp_path) == [4, 8]
    run_toy(tmp_path, steps=12)
    assert sorted(path.name for path in whole.parent.iterdir()) == [
        f"step_{step:06d}" for step in steps_in(tmp_path)
    ]


def test_a_checkpoint_that_goes_while_it_is_listed_is_left_out(tmp_path, monkeypatch):
    run_toy(tmp_path, steps=8)
    read = checkpoints.read_state

    def drop_first(folder):
        if folder.name == "step_000004":
            shutil.rmtree(folder)
        return read(folder)

    monkeypatch.setattr(checkpoints, "read_state", drop_first)
    assert steps_in(tmp_path) == [8]


@pytest.mark.parametrize("name", ["task", "optimizer", "random", "state"])
def test_a_disk_that_fills_at_any_file_leaves_the_previous_checkpoint_valid(
    tmp_path, monkeypatch, name
):
    whole, _ = run_toy(tmp_path / "whole")
    with monkeypatch.context() as broken:
        fail_at(broken, name)
        with pytest.raises(StorageFullError, match="The disk is full: .*make room"):
            run_toy(tmp_path / "run")
    assert steps_in(tmp_path / "run") == [4]
    assert [p.name for p in (tmp_path / "run/checkpoints").iterdir()] == ["step_000004"]
    (last,) = list_checkpoints(tmp_path / "run")
    task, _ = run_toy(tmp_path / "run", last.path)
    assert torch.equal(weights(task), weights(whole))


def fail_at(monkeypatch, name):
    """Writing this file of the checkpoint of step 8 finds a full disk, after half of it."""

    def is_it(path):
        return path.stem == name and path.parent.name.startswith("step_000008")

    save_file, write_text = run_state.save_file, Path.write_text

    def save(values, path):
        save_file(values, path)
        if is_it(path):
            raise FULL_IN_RUST

    def write(path, text, **options):
        written = write_text(path, text, **options)
        if is_it(path):
            raise FULL
        return written

    monkeypatch.setattr(run_state, "save_file", save)
    monkeypatch.setattr(Path, "write_text", write)


FILL = """
import sys
from pathlib import Path
from dyod_studio.errors import StorageFullError
from dyod_studio.training.checkpoints import list_checkpoints
from dyod_studio.training.run import CheckpointSaved
from dyod_studio.training.run import Run
from tests.training.toy import Toy, config_of, events_of

run_dir = Path(sys.argv[1])
try:
    for event in events_of(Toy(config_of()), Run(run_dir)):
        if isinstance(event, CheckpointSaved) and event.step == 4:
            ballast = (run_dir / "ballast").open("wb", buffering=0)
            try:
                while ballast.write(bytes(512)):
                    pass
            except OSError as exc:
                print(exc.strerror)
            ballast.close()
except StorageFullError as exc:
    print(exc)
print([checkpoint.step for checkpoint in list_checkpoints(run_dir)])
print(sorted(path.name for path in (run_dir / "checkpoints").iterdir()))
(run_dir / "ballast").unlink()
last = list_checkpoints(run_dir)[-1]
*_, end = events_of(Toy(config_of()), Run(run_dir, last.path))
print("went on to", end.step)
"""


def test_on_a_real_disk_that_is_full_the_run_says_so_and_goes_on_when_there_is_room(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=300k tmpfs {disk}"
    if shutil.which("unshare") is None or not works(["unshare", "-rm", "sh", "-c", mount]):
        pytest.skip("this system lets nobody mount a small disk")
    run = f'{mount} && exec "{sys.executable}" -c "$0" {disk}/run'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", run, FILL], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    full, sentence, *rest = done.stdout.splitlines()
    assert full == "No space left on device"
    assert sentence.startswith("The disk is full: nothing more can be written to")
    assert rest == ["[4]", "['step_000004']", "went on to 12"]


KILLED = """
import os, signal, sys
from pathlib import Path
from dyod_studio.training import checkpoints, run_state
from dyod_studio.training.run import Run
from tests.training.toy import Toy, config_of, events_of

run_dir, module, name, number = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
owner = {"checkpoints": checkpoints, "run_state": run_state, "os": os}[module]
original, calls = getattr(owner, name), []

def die(*args, **kwargs):
    calls.append(name)
    if len(calls) == number:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)

setattr(owner, name, die)
list(events_of(Toy(config_of()), Run(run_dir)))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
@pytest.mark.parametrize(
    ("module", "name", "number"),
    [("run_state", "save_file", 5), ("checkpoints", "flush", 2), ("checkpoints", "_drop", 3)],
    ids=["between the files", "before they are on the disk", "before the rename"],
)
def test_a_run_killed_while_it_saves_leaves_whole_checkpoints_only_and_ends_bit_identical(
    tmp_path, module, name, number
):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "run"), module, name, str(number)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    *_, last = list_checkpoints(tmp_path / "run")
    task, _ = run_toy(tmp_path / "run", last.path)
    whole, _ = run_toy(tmp_path / "whole")
    assert torch.equal(weights(task), weights(whole))


def works(command):
    return subprocess.run(command, capture_output=True).returncode == 0


def test_another_error_while_writing_is_not_taken_for_a_full_disk(tmp_path, monkeypatch):
    def refuse(values, path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(run_state, "save_file", refuse)
    with pytest.raises(PermissionError):
        run_toy(tmp_path)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_saving_a_step_again_replaces_it(tmp_path):
    _, events = run_toy(tmp_path, steps=8)
    first = next(event for event in events if isinstance(event, CheckpointSaved))
    task = Toy(config_of(steps=8))
    asked = RunControl(save_now=True)
    list(events_of(task, Run(tmp_path, first.path, control=lambda: asked)))
    assert steps_in(tmp_path)[-4:] == [5, 6, 7, 8]
    assert list_checkpoints(tmp_path)[-1].is_kept
    assert not list(tmp_path.rglob("*.dropped"))


def test_a_gradient_scaler_is_kept_too(tmp_path):
    task = Toy(config_of())
    optimizer = torch.optim.AdamW(task.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    state = run_state.RunState(
        task, optimizer, torch.device("cpu"), scaler, step=3, losses=run_state.deque([1.0])
    )
    folder = state.save(tmp_path, adjustments={})
    scaler.load_state_dict(scaler.state_dict() | {"scale": 64.0})
    state.restore(folder)
    assert scaler.state_dict()["scale"] == 4.0
