"""What is said before a run starts, and what is measured for it."""

import json
from dataclasses import replace

import pytest
import torch

from dyod_studio.errors import TrainingError
from dyod_studio.models.base_size import STABLE_DIFFUSION, base_size
from dyod_studio.models.memory_plan import Measurement
from dyod_studio.requests.part_kinds import training_methods
from dyod_studio.settings import STARTER_DIR
from dyod_studio.training.calibration import MEASURED_STEPS, Meter, measure
from dyod_studio.training.checkpoints import list_checkpoints
from dyod_studio.training.planning import Known, calibration_key, plan_run, workload
from dyod_studio.training.registry import load_method, parse_config
from dyod_studio.training.run import (
    UNCHANGED,
    Adjustments,
    ArtifactReady,
    CheckpointSaved,
    PicturesPrepared,
    PreviewsFailed,
    PreviewsReady,
    Run,
    StepDone,
)
from tests.training.needed import with_needed
from tests.training.test_ladder import SmallMemory

STARTER = base_size("starter", STARTER_DIR)
NEEDS = Measurement(1000, setup_s=10, step_s=0.1, preview_s=2, checkpoint_s=0.5)


def key(method="inversion", adjustments=UNCHANGED, **values):
    return calibration_key(method, parse_config(method, values).model_dump(), adjustments)


def test_the_key_holds_what_memory_and_time_depend_on_and_nothing_else():
    assert key() == key(steps=7, learning_rate=0.1, token="<x>", preview_every=3)
    assert len({key(), key(batch_size=2), key(adjustments=Adjustments(2)), key("vae")}) == 4
    assert key("vae", width=16) != key("vae", width=8)
    assert json.loads(key())["settings"] == {"batch_size": 4}


def test_the_workload_counts_what_the_loop_does(base_models, dataset, tmp_path):
    values = {"steps": 11, "checkpoint_every": 4, "preview_every": 3}
    config = parse_config("vae", values)
    events = list(load_method("vae").run(config, base_models["starter"], dataset, Run(tmp_path)))
    work = workload(config, Adjustments())
    counted = [
        sum(isinstance(event, kind) for event in events)
        for kind in (StepDone, PreviewsReady, CheckpointSaved)
    ]
    assert [work.num_steps, work.num_previews, work.num_checkpoints] == counted == [11, 6, 3]
    assert workload(config, Adjustments(previews=False)).num_previews == 0
    left = workload(config, Adjustments(), done=8)
    assert (left.num_steps, left.num_previews, left.num_checkpoints) == (3, 2, 1)


def test_a_first_plan_says_that_it_is_an_estimate():
    plan, adjustments = plan_run("inversion", parse_config("inversion", {}), STARTER, "cpu", 8000)
    assert plan.is_estimate
    assert plan.fits
    assert adjustments == Adjustments()
    assert 0 < plan.peak_memory_mb < 8000
    assert plan.seconds > 0


@pytest.mark.parametrize("method", ["dreambooth", "custom-diffusion"])
def test_pictures_of_the_class_are_planned_for_beside_those_of_the_set(method):
    def needed(**values):
        config = parse_config(method, with_needed(method, values))
        return plan_run(method, config, STARTER, "cpu", 8000)[0].peak_memory_mb

    assert needed(batch_size=2, prior_weight=1) == needed(batch_size=4, prior_weight=0)
    assert needed(batch_size=2, prior_weight=1) > needed(batch_size=2, prior_weight=0)


def test_a_plan_of_measured_settings_states_what_was_measured():
    config = parse_config("inversion", {"steps": 100, "checkpoint_every": 50, "preview_every": 50})
    plan, _ = plan_run("inversion", config, STARTER, "cpu", 8000, known=Known(key(), NEEDS))
    assert not plan.is_estimate
    assert plan.peak_memory_mb == 1000
    assert plan.seconds == pytest.approx(10 + 100 * 0.1 + 2 * 2 + 2 * 0.5)


def test_a_plan_near_measured_settings_leans_on_them_and_is_an_estimate():
    config = parse_config("inversion", {"batch_size": 8})
    plan, _ = plan_run("inversion", config, STARTER, "cpu", 8000, known=Known(key(), NEEDS))
    assert plan.is_estimate
    assert plan.peak_memory_mb >= 1000
    assert plan.seconds > config.steps * 2 * 0.1


def test_where_it_does_not_fit_the_plan_says_what_will_be_done():
    config = parse_config("inversion", {"batch_size": 4})
    roomy, _ = plan_run("inversion", config, STABLE_DIFFUSION, "cuda", 80_000)
    assert roomy.measures == ("The autoencoder leaves the card while the U-Net trains.",)
    plan, adjustments = plan_run("inversion", config, STABLE_DIFFUSION, "cuda", 12_000)
    assert plan.fits
    assert adjustments == Adjustments(accumulation=2)
    assert plan.measures[0] == "Each batch of 4 is computed 2 at a time."
    tight, adjustments = plan_run("inversion", config, STABLE_DIFFUSION, "cuda", 4200)
    assert tight.fits
    assert adjustments == Adjustments(accumulation=4, gradient_checkpointing=True)
    assert tight.seconds > roomy.seconds


def test_where_nothing_helps_the_plan_says_so_and_gives_up_nothing_in_vain():
    plan, adjustments = plan_run("vae", parse_config("vae", {}), STABLE_DIFFUSION, "cuda", 100)
    assert not plan.fits
    assert "MB more have to be free" in plan.advice
    assert adjustments == UNCHANGED
    assert plan.measures == ()


def test_a_plan_begins_with_what_had_to_be_changed_when_it_was_measured():
    needed = Adjustments(accumulation=4, gradient_checkpointing=True)
    known = Known(key(adjustments=needed), replace(NEEDS, adjustments=needed.as_dict()))
    config = parse_config("inversion", {})
    plan, adjustments = plan_run("inversion", config, STARTER, "cpu", 8000, known=known)
    assert adjustments == needed
    assert not plan.is_estimate
    assert len(plan.measures) == 2
    other = parse_config("inversion", {"batch_size": 1})
    plan, adjustments = plan_run("inversion", other, STARTER, "cpu", 8000, known=known)
    assert adjustments == UNCHANGED
    assert plan.is_estimate


class Clock:
    def __init__(self, *times):
        self._times = iter(times)

    def __call__(self):
        return next(self._times)


def step(number):
    return StepDone(number, 9, 0.5, 0.1, 1.0)


def test_a_meter_tells_setup_steps_previews_and_checkpoints_apart(tmp_path):
    events = [
        (100, PicturesPrepared(1, 1)),
        (105.0, step(1)),
        (105.5, step(2)),
        (106.0, step(3)),
        (109.0, PreviewsReady(3, ())),
        (109.25, CheckpointSaved(3, tmp_path, 0.5)),
        (110.25, step(4)),
        (112.25, PreviewsFailed(4, "no memory")),
        (114.25, ArtifactReady("vae", tmp_path)),
    ]
    meter = Meter(Clock(0, *(time for time, _ in events)))
    assert list(meter.watch(iter([event for _, event in events]))) == [e for _, e in events]
    assert meter.measurement(77, loading_s=3) == Measurement(
        77, setup_s=3 + 4.5 + 2, step_s=0.5, preview_s=3.0, checkpoint_s=0.25
    )


def test_too_few_steps_are_no_measurement():
    meter = Meter(Clock(0, 1))
    list(meter.watch(iter([step(1)])))
    assert meter.measurement(1) is None


@pytest.mark.parametrize("method", list(training_methods()))
def test_measuring_makes_a_few_real_steps_one_preview_and_one_checkpoint(
    own_base, dataset, tmp_path, method
):
    config = parse_config(method, with_needed(method, {"steps": 100_000}))
    found = measure(
        load_method(method), config, own_base, dataset, tmp_path / "run", loading_s=1000
    )
    (saved,) = list_checkpoints(tmp_path / "run")
    assert saved.step == MEASURED_STEPS
    assert 0 < found.step_s < 30
    assert found.setup_s > 1000
    assert found.preview_s is not None
    assert found.checkpoint_s is not None
    assert 100 < found.peak_memory_mb < 100_000
    assert found.adjustments == {}


def test_measuring_takes_the_rungs_that_the_run_will_need(own_base, dataset, tmp_path):
    SmallMemory(own_base.unet.conv_in, at_once=1)
    config = parse_config("inversion", {"batch_size": 3})
    found = measure(load_method("inversion"), config, own_base, dataset, tmp_path / "run")
    assert found.adjustments == Adjustments(accumulation=4).as_dict()
    assert found.step_s > 0


def test_measuring_what_never_fits_says_so(own_base, dataset, tmp_path):
    SmallMemory(own_base.unet.conv_in, at_once=0)
    config = parse_config("inversion", {"batch_size": 1})
    with pytest.raises(TrainingError, match="does not fit into memory, however it is trained"):
        measure(load_method("inversion"), config, own_base, dataset, tmp_path / "run")
    assert not any(torch.is_tensor(p.grad) for p in own_base.unet.parameters())
