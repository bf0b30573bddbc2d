"""The set's own LoRA, from pictures with captions to pictures."""

import json
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from dyod_studio.models.artifacts import load_artifact
from dyod_studio.models.customised import SamplingConfig, open_customised
from dyod_studio.models.lora import ALL_LAYERS, UNET_LAYERS
from dyod_studio.models.lora_files import read_layers
from dyod_studio.training.data import TrainingSet
from dyod_studio.training.lora import LoraConfig, LoraTask, learner_of
from dyod_studio.training.run import Adjustments, CheckpointSaved, Run, StepDone
from tests.training.test_baselines import train
from tests.training.test_methods import weights_of

LAYERS = ("attention", "every", "all")
QUICK = {"steps": 3, "batch_size": 2, "held_back": 0}


@pytest.fixture
def captioned(dataset) -> TrainingSet:
    said = ("a tomato", "", "a teal disc", "night")
    pictures = [replace(p, caption=c) for p, c in zip(dataset.pictures, said, strict=True)]
    return replace(dataset, pictures=pictures)


@pytest.mark.slow
@pytest.mark.parametrize("layers", LAYERS)
def test_four_pictures_are_fitted_and_the_base_stays_bit_for_bit(base, captioned, tmp_path, layers):
    before = weights_of(base)
    values = {"layers": layers, "steps": 60, "batch_size": 4, "learning_rate": 1e-3, "rank": 8}
    ready = train("lora", base, captioned, tmp_path, held_back=0, min_snr_gamma=0, **values)[-1]
    facts = load_artifact(ready.path, "lora").facts
    assert facts["learned_loss_after"] < 0.95 * facts["learned_loss_before"]
    assert (facts["num_captions"], facts["num_held_back"]) == (3, 0)
    after = weights_of(base)
    assert all(torch.equal(before[name], after[name]) for name in before)
    modules = (base.unet, base.vae, base.text_encoder)
    assert not any(p.requires_grad for module in modules for p in module.parameters())


def test_all_weights_of_a_small_base_are_trained_unless_it_is_said_otherwise():
    assert LoraConfig().layers_for(11_000_000) == "all"
    assert LoraConfig().layers_for(860_000_000) == "attention"
    assert LoraConfig(layers="every").layers_for(11_000_000) == "every"


@pytest.mark.parametrize("layers", LAYERS)
def test_the_file_is_drawn_with_and_at_strength_zero_is_the_base(
    base_models, captioned, tmp_path, layers
):
    base = base_models["starter"]
    values = QUICK | {"layers": layers, "learning_rate": 0.02, "averaging": 0}
    part = load_artifact(train("lora", base, captioned, tmp_path, **values)[-1].path, "lora")

    def drawn(parts, strength=1.0):
        with ExitStack() as stack:
            model = open_customised(stack, base, parts, strength)
            assert model.default_prompt == ""
            image = model.sample("prompt", [3], SamplingConfig(1, 4, 2.0, "a dog"))[0]
        return np.asarray(image, dtype=int)

    plain = drawn({})
    assert np.abs(drawn({"lora": part}) - plain).max() > 5
    assert np.array_equal(drawn({"lora": part}, 0.0), plain)
    assert np.array_equal(drawn({}), plain)


def test_the_layers_that_were_asked_for_have_an_update(base_models, captioned, tmp_path):
    ends = {}
    for layers in ("attention", "every"):
        values = QUICK | {"layers": layers, "steps": 1, "rank": 2}
        ready = train("lora", base_models["starter"], captioned, tmp_path / layers, **values)[-1]
        names = read_layers(load_artifact(ready.path, "lora").tensors)
        found = {end for end in ALL_LAYERS if any(n.endswith(end.replace(".", "_")) for n in names)}
        ends[layers] = found
    assert ends["attention"] == set(UNET_LAYERS)
    assert ends["every"] >= {*UNET_LAYERS, "conv1", "conv2", "ff.net.2", "proj_in"}


def test_a_rank_stabilised_update_is_scaled_by_the_root_of_the_rank(
    base_models, captioned, tmp_path
):
    values = QUICK | {"layers": "attention", "steps": 1, "rank": 4, "alpha": 3}
    alphas = {}
    for is_stable in (False, True):
        run_dir = tmp_path / str(is_stable)
        values |= {"is_rank_stabilised": is_stable}
        ready = train("lora", base_models["starter"], captioned, run_dir, **values)[-1]
        layers = read_layers(load_artifact(ready.path, "lora").tensors)
        alphas[is_stable] = {weights.alpha for weights in layers.values()}
    assert alphas == {False: {3.0}, True: {6.0}}


def test_the_text_encoder_is_trained_beside_either(base_models, captioned, tmp_path):
    for layers in ("attention", "all"):
        values = QUICK | {"layers": layers, "train_text_encoder": True}
        ready = train("lora", base_models["starter"], captioned, tmp_path / layers, **values)[-1]
        part = load_artifact(ready.path, "lora")
        assert any(name.startswith("lora_te_") for name in part.tensors)
        with ExitStack() as stack:
            model = open_customised(stack, base_models["starter"], {"lora": part})
            model.sample("prompt", [1], SamplingConfig(num_inference_steps=2))


@pytest.mark.parametrize("layers", ["attention", "all"])
def test_a_run_that_goes_on_from_a_checkpoint_ends_bit_identical(
    base_models, captioned, tmp_path, layers
):
    base = base_models["starter"]
    values = QUICK | {"layers": layers, "steps": 4, "checkpoint_every": 2, "noise_offset": 0.1}
    whole = train("lora", base, captioned, tmp_path / "whole", **values)
    saved = next(event for event in whole if isinstance(event, CheckpointSaved))
    config = LoraConfig(**{"preview_every": 10_000, **values})
    from dyod_studio.training.registry import load_method

    run = Run(tmp_path / "rest", resume_from=saved.path)
    rest = list(load_method("lora").run(config, base, captioned, run))
    assert [event.step for event in rest if isinstance(event, StepDone)] == [3, 4]
    one, other = (load_artifact(events[-1].path, "lora").tensors for events in (whole, rest))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_lora_says_with_which_tags_it_was_trained(base_models, captioned, tmp_path):
    values = QUICK | {"layers": "attention", "steps": 1}
    ready = train("lora", base_models["starter"], captioned, tmp_path / "run", **values)[-1]
    with safe_open(ready.path, framework="numpy") as file:
        tags = json.loads(file.metadata()["ss_tag_frequency"])
    assert tags == {"set": {"a teal disc": 1, "a tomato": 1, "night": 1}}


def test_shares_and_recomputing_learn_the_same(base_models, captioned, tmp_path):
    base, values = base_models["starter"], QUICK | {"steps": 2, "batch_size": 4}
    sparing = Adjustments(accumulation=2, gradient_checkpointing=True)
    whole = train("lora", base, captioned, tmp_path / "whole", **values)
    parts = train("lora", base, captioned, tmp_path / "parts", sparing, **values)
    one, other = ([e.loss for e in events if isinstance(e, StepDone)] for events in (whole, parts))
    assert one == pytest.approx(other, rel=1e-4)


def test_pictures_are_said_with_their_captions_and_without_as_often_as_asked(
    base_models, captioned
):
    base, captions = base_models["starter"], [p.caption for p in captioned.pictures]
    latents = np.zeros((4, *base.latent_shape), np.float32)
    for dropout, is_said in ((0.0, True), (1.0, False)):
        config = LoraConfig(layers="attention", caption_dropout=dropout)
        with learner_of(config, base) as learner:
            task = LoraTask(learner, latents, captions, config)
            texts = task._texts([0, 2], [is_said, is_said])
        expected = base.encode_prompts(["a tomato", "a teal disc"] if is_said else ["", ""])
        assert torch.allclose(texts, expected, atol=1e-5)


def test_a_caption_that_is_too_long_loses_its_last_words(base_models):
    base = base_models["starter"]
    cut = base.cut_prompt(" ".join(["cat"] * 300))
    assert 10 < len(cut.split()) < 300
    assert base.encode_prompts([cut]).shape[0] == 1
    assert base.cut_prompt("a cat") == "a cat"
