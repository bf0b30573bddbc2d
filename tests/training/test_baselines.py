"""The baselines, and DreamBooth of all layers, from pictures to pictures."""

from contextlib import ExitStack

import numpy as np
import pytest
import torch

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import load_artifact
from dyod_studio.models.customised import SamplingConfig, open_customised
from dyod_studio.training.registry import load_method, parse_config
from dyod_studio.training.run import Adjustments, PreviewsReady, Run, StepDone
from tests.training.needed import with_needed
from tests.training.test_methods import weights_of

WHOLE = [
    ("full-finetune", {"learning_rate": 1e-3}),
    ("scratch", {"learning_rate": 3e-3}),
    ("dreambooth", {"layers": "all", "learning_rate": 5e-5, "prior_weight": 0.1}),
]


def train(method, base, dataset, run_dir, adjustments=None, **values):
    quick = {"preview_every": 10_000, "checkpoint_every": 10_000}
    config = parse_config(method, with_needed(method, quick | values))
    run = Run(run_dir, adjustments=adjustments or Adjustments())
    return list(load_method(method).run(config, base, dataset, run))


@pytest.mark.slow
@pytest.mark.parametrize(("method", "values"), WHOLE, ids=[name for name, _ in WHOLE])
def test_four_pictures_are_fitted_and_the_base_stays_bit_for_bit(
    base, dataset, tmp_path, method, values
):
    before = weights_of(base)
    ready = train(method, base, dataset, tmp_path, steps=40, batch_size=4, **values)[-1]
    artifact = load_artifact(ready.path, method)
    facts = artifact.facts
    name = "instance_loss" if method == "dreambooth" else "fixed_loss"
    assert facts[f"{name}_after"] < 0.9 * facts[f"{name}_before"]
    after = weights_of(base)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    modules = (base.unet, base.vae, base.text_encoder)
    assert not any(p.requires_grad for module in modules for p in module.parameters())
    assert facts["num_parameters"] == sum(t.numel() for t in artifact.tensors.values())
    assert facts["num_parameters"] == sum(p.numel() for p in base.unet.parameters())
    assert facts["stored_as"] == "float32"


def test_tuning_begins_as_the_base_and_scratch_far_from_it(base_models, dataset, tmp_path):
    base, values = base_models["starter"], {"steps": 1, "learning_rate": 1e-9}
    first = {}
    for method in ("full-finetune", "scratch"):
        facts = load_artifact(
            train(method, base, dataset, tmp_path / method, **values)[-1].path, method
        ).facts
        first[method] = facts["fixed_loss_before"]
        assert facts["fixed_loss_after"] == pytest.approx(first[method], rel=1e-4)
    assert first["full-finetune"] != first["scratch"]


def test_the_artifact_is_drawn_with_beside_a_word_and_at_strength_zero_is_the_base(
    base_models, dataset, tmp_path
):
    base = base_models["starter"]
    ready = train(
        "full-finetune", base, dataset, tmp_path, steps=20, learning_rate=3e-3, prompt="a dog"
    )[-1]
    part = load_artifact(ready.path, "full-finetune")

    def drawn(parts, strength=1.0):
        with ExitStack() as stack:
            model = open_customised(stack, base, parts, strength)
            assert model.default_prompt == ("a dog" if parts else "")
            image = model.sample("prompt", [3], SamplingConfig(1, 4, 2.0, "a dog"))[0]
        return np.asarray(image, dtype=int)

    plain = drawn({})
    assert np.abs(drawn({"full-finetune": part}) - plain).max() > 5
    assert np.array_equal(drawn({"full-finetune": part}, 0.0), plain)
    assert np.array_equal(drawn({}), plain)


@pytest.mark.parametrize(("method", "values"), WHOLE, ids=[name for name, _ in WHOLE])
def test_shares_and_recomputing_learn_the_same(base_models, dataset, tmp_path, method, values):
    base = base_models["starter"]
    values = values | {"steps": 2, "batch_size": 4, "preview_every": 2}
    whole = train(method, base, dataset, tmp_path / "whole", **values)
    sparing = Adjustments(accumulation=2, gradient_checkpointing=True)
    parts = train(method, base, dataset, tmp_path / "parts", sparing, **values)
    one, other = ([e.loss for e in events if isinstance(e, StepDone)] for events in (whole, parts))
    assert one == pytest.approx(other, rel=1e-4)
    assert any(isinstance(event, PreviewsReady) for event in parts)


def test_all_layers_and_the_text_encoder_are_trained_together(base_models, dataset, tmp_path):
    base = base_models["starter"]
    values = {"layers": "all", "train_text_encoder": True, "steps": 2}
    ready = train("dreambooth", base, dataset, tmp_path, **values)[-1]
    artifact = load_artifact(ready.path, "dreambooth")
    kinds = {name.partition(".")[0].partition("_")[0] for name in artifact.tensors}
    assert kinds == {"unet", "lora"}
    assert not any(name.startswith("lora_unet") for name in artifact.tensors)
    with ExitStack() as stack:
        open_customised(stack, base, {"dreambooth": artifact}).sample(
            "prompt", [1], SamplingConfig(num_inference_steps=2)
        )


@pytest.mark.parametrize(
    ("method", "values", "message"),
    [
        ("full-finetune", {"prompt_dropout": 2}, "prompt_dropout must .*got 2"),
        ("scratch", {"learning_rate": 0}, "learning_rate must .*got 0"),
        ("dreambooth", {"layers": "some"}, "layers must be one of attention, all"),
    ],
)
def test_a_wrong_setting_is_one_sentence(method, values, message):
    with pytest.raises(InvalidInputError, match=message):
        parse_config(method, with_needed(method, values))
