"""Learning to follow lines: what is trained, what is told, and what is drawn on the way."""

from contextlib import ExitStack

import pytest
import torch

from dyod_studio.models.artifacts import load_artifact
from dyod_studio.models.control import load_control, new_control
from dyod_studio.models.customised import open_customised
from dyod_studio.training import control as module
from dyod_studio.training.control import ControlConfig, ControlTask
from dyod_studio.training.data import returned
from dyod_studio.training.run import ArtifactReady, PreviewsReady, Run, StepDone

QUICK = {"batch_size": 2, "preview_every": 10_000, "checkpoint_every": 10_000}


def run(base, dataset, folder, **values):
    config = ControlConfig(**(QUICK | values))
    return list(module.run(config, base, dataset, Run(folder)))


@pytest.fixture
def enough(dataset):
    """Six pictures, of which two are held back."""
    pictures = [*dataset.pictures, *dataset.pictures[:2]]
    return type(dataset)(pictures, dataset.cache_dir)


def test_only_the_network_learns_and_the_part_follows_lines(base, enough, tmp_path):
    before = {name: t.clone() for name, t in base.unet.state_dict().items()}
    events = run(base, enough, tmp_path, steps=2, held_back=0.4, preview_every=2)
    assert [event.step for event in events if isinstance(event, StepDone)] == [1, 2]
    assert isinstance(events[-1], ArtifactReady)
    assert all(torch.equal(before[name], t) for name, t in base.unet.state_dict().items())
    assert not base.unet._forward_pre_hooks
    part = load_artifact(events[-1].path, "control")
    facts = part.facts
    assert (facts["network"], facts["num_held_back"], facts["steps_done"]) == ("controlnet", 2, 2)
    assert 0 <= facts["by_chance"] <= 1
    assert 0 <= facts["followed"] <= 1
    fresh = new_control(base, "controlnet", 0).tensors()
    assert any(not torch.equal(fresh[name], tensor) for name, tensor in part.tensors.items())
    assert load_control(part, base).kind == "controlnet"
    (previews,) = (event for event in events if isinstance(event, PreviewsReady))
    assert len(previews.paths) == module.NUM_PREVIEWS


def test_the_same_seed_gives_the_same_bytes(base, enough, tmp_path):
    one, other = (
        run(base, enough, tmp_path / name, steps=2)[-1].path.read_bytes() for name in "ab"
    )
    assert one == other


def test_it_learns_to_tell_lines_from_none(base, enough, tmp_path):
    events = run(base, enough, tmp_path, steps=40, batch_size=4, learning_rate=1e-3)
    losses = [event.loss for event in events if isinstance(event, StepDone)]
    assert sum(losses[-8:]) < 0.97 * sum(losses[:8])


@pytest.mark.parametrize(
    ("asked", "size", "network"),
    [
        ("auto", 11_000_000, "controlnet"),
        ("auto", 860_000_000, "t2i-adapter"),
        ("controlnet", 860_000_000, "controlnet"),
    ],
)
def test_a_large_base_gets_the_light_network(asked, size, network):
    assert ControlConfig(network=asked).network_for(size) == network


def test_each_step_sees_other_lines_of_a_picture_and_every_share_of_it_the_same(base, enough):
    task = task_of(base, enough)
    one, other = task._lines([0, 1], 1), task._lines([0, 1], 2)
    assert one.shape == (2, 3, base.resolution, base.resolution)
    assert not torch.equal(one, other)
    assert torch.equal(one, task._lines([0, 1], 1))
    whole, parts = (sum(task.losses(3, number)) for number in (1, 2))
    torch.testing.assert_close(whole, parts)


def task_of(base, dataset):
    latents, pixels = (
        returned(dataset.prepare_latents(base)),
        returned(dataset.prepare_pixels(base.resolution)),
    )
    captions = [picture.caption for picture in dataset.pictures]
    control = new_control(base, "controlnet", 0)
    return ControlTask(base, control, latents, pixels, captions, ControlConfig(batch_size=2))


@pytest.mark.parametrize("shape", ["sd15"])
def test_an_adapter_is_trained_where_the_base_can_take_one(base, enough, shape, tmp_path):
    events = run(base, enough, tmp_path, steps=1, network="t2i-adapter")
    part = load_artifact(events[-1].path, "control")
    assert part.facts["network_config"]["_class_name"] == "T2IAdapter"
    with ExitStack() as stack:
        assert open_customised(stack, base, {"control": part}).control.kind == "t2i-adapter"
