"""What a run survives, what it is asked meanwhile, and what it never does."""

import math

import pytest
import torch
from PIL import Image

from dyod_studio.errors import InvalidInputError, TrainingDivergedError
from dyod_studio.training.checkpoints import list_checkpoints
from dyod_studio.training.run import (
    Adjustments,
    CheckpointSaved,
    PreviewsFailed,
    PreviewsReady,
    Run,
    RunControl,
    StepDone,
)
from tests.training.toy import Toy, at_step, config_of, events_of, losses_of, run_toy, weights


class FailingPreviews(Toy):
    """Its previews raise what it is given, after they have drawn random numbers."""

    error: Exception

    def previews(self) -> list[Image.Image]:
        super().previews()
        raise self.error


def events_with(task, tmp_path, **options):
    return list(events_of(task, Run(tmp_path / "run", **options)))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "OutOfMemoryError: CUDA out of memory."),
        (ZeroDivisionError(), "ZeroDivisionError: "),
        (OSError(28, "No space left on device"), r"OSError: \[Errno 28\] No space"),
    ],
    ids=["memory", "bug", "disk"],
)
def test_a_preview_that_fails_never_fails_the_run(tmp_path, error, reason):
    task = FailingPreviews(config_of())
    task.error = error
    events = events_with(task, tmp_path)
    failed = [event for event in events if isinstance(event, PreviewsFailed)]
    assert [event.step for event in failed] == [4, 6, 8, 12]
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(failed[0].reason)
    assert events[-1] == CheckpointSaved(
        12, tmp_path / "run/checkpoints/step_000012", events[-1].loss
    )
    plain, _ = run_toy(tmp_path / "plain")
    assert torch.equal(weights(task), weights(plain))


def test_a_disk_that_is_full_while_a_preview_is_written_leaves_no_half_picture(
    tmp_path, monkeypatch
):
    def write_half(image, path, **options):
        path.write_bytes(b"half a")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", write_half)
    _, events = run_toy(tmp_path)
    assert sum(isinstance(event, PreviewsFailed) for event in events) == 4
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize(
    "asked",
    [RunControl(sample_now=True), RunControl(save_now=True), RunControl(pause=True)],
    ids=["sample", "save", "pause"],
)
def test_asking_a_run_for_something_changes_nothing_of_what_it_learns(tmp_path, asked):
    plain, plain_events = run_toy(tmp_path / "plain")
    task = Toy(config_of())
    events = events_with(task, tmp_path, control=at_step(5, asked, task))
    assert torch.equal(weights(task), weights(plain))
    assert losses_of(events) == losses_of(plain_events)


def test_a_sample_that_is_asked_for_comes_after_the_step_at_hand_even_where_previews_are_off(
    tmp_path,
):
    task = Toy(config_of())
    events = events_with(
        task,
        tmp_path,
        control=at_step(5, RunControl(sample_now=True), task),
        adjustments=Adjustments(previews=False),
    )
    shown = [index for index, event in enumerate(events) if isinstance(event, PreviewsReady)]
    assert len(shown) == 1
    before, ready = events[shown[0] - 1], events[shown[0]]
    assert isinstance(before, StepDone)
    assert before.step == ready.step == 5
    assert all(path.exists() for path in ready.paths)


def test_what_somebody_asked_to_save_stays_with_its_pictures_when_newer_ones_come(tmp_path):
    task = Toy(config_of(steps=40))
    events_with(task, tmp_path, control=at_step(2, RunControl(save_now=True), task))
    first, *others = list_checkpoints(tmp_path / "run")
    assert (first.step, first.is_kept, len(first.previews)) == (2, True, 1)
    assert not any(checkpoint.is_kept for checkpoint in others)


def test_a_pause_saves_at_once_without_making_previews_first(tmp_path):
    task = Toy(config_of())
    events = []
    for event in events_of(task, Run(tmp_path, control=at_step(5, RunControl(pause=True), task))):
        events.append(event)
        if isinstance(event, CheckpointSaved) and event.step == 5:
            break
    made_before = task.previews_made
    assert isinstance(events[-2], StepDone)
    assert made_before == 1
    other = Toy(config_of())
    list(events_of(other, Run(tmp_path, events[-1].path)))
    whole, _ = run_toy(tmp_path / "whole")
    assert torch.equal(weights(other), weights(whole))


def test_a_loss_that_is_not_finite_names_the_checkpoint_to_go_on_from(tmp_path):
    class Diverging(Toy):
        def losses(self, step, num_parts):
            for loss in super().losses(step, num_parts):
                yield loss * math.inf if step == 7 else loss

    with pytest.raises(
        TrainingDivergedError,
        match=r"Loss became inf at step 7: lower the learning rate \(now .*step 4, or an earlier",
    ):
        events_with(Diverging(config_of()), tmp_path)
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path / "run")] == [4]


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    class Broken(Toy):
        def after_step(self):
            if len(self.parts) == 8:
                with torch.no_grad():
                    self.network[0].weight[0, 0] = math.nan

        def losses(self, step, num_parts):
            for loss in super().losses(step, num_parts):
                yield loss.detach().nan_to_num(0.5).requires_grad_()

    with pytest.raises(TrainingDivergedError, match=r"0\.weight of the task is not finite .* 8"):
        events_with(Broken(config_of()), tmp_path)
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path / "run")] == [4]


def test_finishing_from_a_checkpoint_makes_no_step_and_has_its_weights(tmp_path):
    whole, events = run_toy(tmp_path)
    middle = next(e for e in events if isinstance(e, CheckpointSaved) and e.step == 8)
    task = Toy(config_of())
    assert list(events_of(task, Run(tmp_path / "other", middle.path, finish_only=True))) == []
    resumed = Toy(config_of(steps=8))
    list(events_of(resumed, Run(tmp_path / "again")))
    assert not torch.equal(weights(task), weights(whole))
    torch.testing.assert_close(weights(task), weights(resumed))


def test_there_must_be_a_checkpoint_to_finish_from(tmp_path):
    with pytest.raises(InvalidInputError, match="no checkpoint to finish from"):
        events_with(Toy(config_of()), tmp_path, finish_only=True)


def test_a_step_tells_the_memory_of_its_process(tmp_path):
    _, events = run_toy(tmp_path, steps=2)
    first, last = (event for event in events if isinstance(event, StepDone))
    assert 50 < first.memory_mb <= last.memory_mb
