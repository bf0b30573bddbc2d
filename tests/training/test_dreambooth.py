import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import load_artifact
from dyod_studio.models.customised import CustomisedModel, SamplingConfig
from dyod_studio.models.lora import with_lora, with_new_lora
from dyod_studio.models.rare_tokens import find_rare_tokens
from dyod_studio.training.data import TrainingSet
from dyod_studio.training.denoising import draw, loss_of
from dyod_studio.training.dreambooth import DreamboothTask, name_subject
from dyod_studio.training.registry import load_method, parse_config
from dyod_studio.training.run import Run
from dyod_studio.training.subjects import SD_WIDTH, diversity, draw_class, split_holdout
from tests.training.test_methods import weights_of

QUICK = {"preview_every": 10_000, "checkpoint_every": 10_000, "num_class_pictures": 3}


@pytest.fixture
def one_base(base_models):
    """One shape is enough where the shape does not matter."""
    return base_models["starter"]


def config_of(**values):
    return parse_config("dreambooth", QUICK | {"class_noun": "dog"} | values)


def run(base, dataset, run_dir, **values):
    """The artifact of a run."""
    events = list(load_method("dreambooth").run(config_of(**values), base, dataset, Run(run_dir)))
    return load_artifact(events[-1].path, "dreambooth")


def task_on(base, config, *, num_pictures=4):
    generator = torch.Generator().manual_seed(0)
    instances, classes = (
        torch.randn(n, *base.latent_shape, generator=generator).numpy() for n in (num_pictures, 3)
    )
    subject = name_subject(base, config.class_noun, config.rare_token)
    return DreamboothTask(base, subject, instances, classes, config)


def test_a_narrow_unet_takes_larger_updates(base):
    config = config_of(learning_rate=1e-4)
    width = base.unet.config.block_out_channels[0]
    assert width < SD_WIDTH
    rate = task_on(base, config).learning_rate(1)
    assert rate == pytest.approx(1e-4 * SD_WIDTH / width)


@pytest.mark.slow
def test_four_pictures_are_learned_and_the_base_stays_bit_for_bit(base, dataset, tmp_path):
    before = weights_of(base)
    artifact = run(
        base, dataset, tmp_path, steps=40, batch_size=4, learning_rate=5e-4, prior_weight=0.1
    )
    facts = artifact.facts
    assert facts["instance_loss_after"] < 0.9 * facts["instance_loss_before"]
    after = weights_of(base)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    modules = (base.unet, base.vae, base.text_encoder)
    assert not any(p.requires_grad for module in modules for p in module.parameters())
    weights = [t for name, t in artifact.tensors.items() if not name.endswith("alpha")]
    assert facts["num_parameters"] == sum(t.numel() for t in weights)
    assert {t.dtype for t in weights} == {torch.float32}


def test_the_artifact_draws_the_subject_and_at_strength_zero_the_base(one_base, dataset, tmp_path):
    base = one_base
    artifact = run(base, dataset, tmp_path, steps=20, batch_size=4, learning_rate=1e-3)
    prompt = artifact.facts["prompt"]

    def drawn():
        (image,) = CustomisedModel(base).sample("prompt", [3], SamplingConfig(1, 5, 2.0, prompt))
        return np.asarray(image, dtype=int)

    plain = drawn()
    with with_lora(base, artifact.tensors, 0.0):
        assert np.array_equal(drawn(), plain)
    with with_lora(base, artifact.tensors):
        assert np.abs(drawn() - plain).max() > 5
    assert np.array_equal(drawn(), plain)


def test_the_text_encoder_is_trained_only_when_asked(one_base, dataset, tmp_path):
    base = one_base
    for is_asked in (False, True):
        artifact = run(
            base, dataset, tmp_path / str(is_asked), steps=2, train_text_encoder=is_asked
        )
        ups = {n: t for n, t in artifact.tensors.items() if n.endswith("lora_up.weight")}
        in_text = [t.abs().max() > 0 for n, t in ups.items() if n.startswith("lora_te_")]
        assert bool(in_text) == is_asked
        assert all(in_text)


def test_the_loss_is_the_instance_term_plus_lambda_times_the_prior_term(base):
    def loss(prior_weight):
        config = config_of(batch_size=2, prior_weight=prior_weight)
        return float(sum(task_on(base, config).losses(1, 1)))

    with with_new_lora(base, rank=2, alpha=2, has_text_encoder=False, seed=0), torch.no_grad():
        zero, one, three = loss(0), loss(1.0), loss(3.0)
    assert one > zero
    assert three - zero == pytest.approx(3 * (one - zero), rel=1e-3)


def test_each_term_has_its_own_prompt(one_base):
    base = one_base
    config = config_of(batch_size=2, rare_token="cat")
    heard = []
    with with_new_lora(base, rank=2, alpha=2, has_text_encoder=False, seed=0):
        task = task_on(base, config)
        expected = base.encode_prompts(["a cat dog", "a dog"])
        hook = base.unet.register_forward_pre_hook(
            lambda module, args, kwargs: heard.append(kwargs["encoder_hidden_states"]),
            with_kwargs=True,
        )
        with torch.no_grad():
            list(task.losses(1, 1))
        hook.remove()
    (conditioning,) = heard
    torch.testing.assert_close(conditioning, expected.repeat_interleave(2, dim=0))


def test_shares_of_a_batch_sum_to_the_whole(one_base):
    base = one_base
    config = config_of(batch_size=4)
    with with_new_lora(base, rank=2, alpha=2, has_text_encoder=False, seed=0), torch.no_grad():
        task = task_on(base, config)
        whole = float(sum(task.losses(3, 1)))
        parts = [float(loss) for loss in task.losses(3, 3)]
    assert len(parts) == 2
    assert sum(parts) == pytest.approx(whole, rel=1e-4)


def test_a_token_is_found_unless_one_is_given(one_base, dataset, tmp_path):
    base = one_base
    found = run(base, dataset, tmp_path / "found", steps=1).facts
    best = find_rare_tokens(base, "dog", 1)[0]
    assert found["token"] == best.text
    assert found["rarity"]["shift"] == best.shift
    assert found["prompt"] == f"a {best.text} dog"
    given = run(base, dataset, tmp_path / "given", steps=1, rare_token="zz").facts
    assert (given["token"], given["rarity"]) == ("zz", None)


def test_held_back_pictures_are_never_learned_from_and_told_about(
    one_base, dataset, tmp_path, caplog
):
    base = one_base
    pictures = [replace(p, sha256=f"{p.sha256} {n}") for n in range(2) for p in dataset.pictures]
    many = TrainingSet(pictures, dataset.cache_dir)
    with caplog.at_level(logging.INFO, logger="dyod_studio"):
        facts = run(base, many, tmp_path, steps=1, held_back=0.25).facts
    assert facts["num_held_back"] == 2
    assert {"held_back_loss_before", "held_back_loss_after"} <= facts.keys()
    assert "held back loss: " in caplog.text
    assert "diversity by clip: " in caplog.text

    config = config_of(batch_size=3, held_back=0.25)
    seen = set()
    with with_new_lora(base, rank=2, alpha=2, has_text_encoder=False, seed=0), torch.no_grad():
        task = task_on(base, config, num_pictures=8)
        instances = torch.from_numpy(task._instances)
        task.terms.of = lambda instance, prior: (
            seen.update(
                int((instances == row).flatten(1).all(1).nonzero()) for row in instance.clean
            )
            or torch.zeros(())
        )
        for step in range(1, 9):
            list(task.losses(step, 1))
    assert seen == set(task.learned)
    assert len(task.holdout) == 2
    assert seen | set(task.holdout) == set(range(8))


def test_few_pictures_are_all_learned_from():
    assert split_holdout(4, 0.5, 0) == ([0, 1, 2, 3], [])
    assert split_holdout(100, 0.0, 0) == (list(range(100)), [])
    learned, holdout = split_holdout(5, 0.1, 0)
    assert len(holdout) == 1
    assert sorted(learned + holdout) == [0, 1, 2, 3, 4]
    assert split_holdout(50, 0.2, 1)[1] != split_holdout(50, 0.2, 2)[1]


def test_without_the_prior_term_the_class_pictures_are_only_compared(one_base, dataset, tmp_path):
    base = one_base
    facts = run(base, dataset, tmp_path, steps=1, prior_weight=0).facts
    assert facts["diversity_by_clip_before"] > 0
    config = config_of(prior_weight=0)
    with with_new_lora(base, rank=2, alpha=2, has_text_encoder=False, seed=0), torch.no_grad():
        task = task_on(base, config)
        joint = draw(torch.zeros(1, *base.latent_shape), 1000, torch.Generator().manual_seed(0))
        assert torch.isfinite(task.terms.of(joint))


def test_with_the_prior_term_the_class_is_remembered_better(one_base, dataset, tmp_path):
    base = one_base
    clean = draw_class(base, "a dog", range(3), seed=0)
    drawn = draw(clean.repeat(8, 1, 1, 1), 1000, torch.Generator().manual_seed(0))

    def class_loss():
        with torch.no_grad():
            texts = base.encode_prompts(["a dog"]).expand(len(drawn), -1, -1)
            return float(loss_of(base, drawn, texts))

    def after(prior_weight):
        values = {"steps": 40, "batch_size": 2, "learning_rate": 5e-4}
        artifact = run(
            base, dataset, tmp_path / str(prior_weight), prior_weight=prior_weight, **values
        )
        with with_lora(base, artifact.tensors):
            return class_loss()

    assert after(3.0) < 0.97 * after(0)


def test_diversity_is_the_mean_distance_of_pairs_in_the_bases_own_clip_or_of_latents(base_models):
    for name, measured_by in (("starter", "clip"), ("sd15", "latents")):
        base = base_models[name]
        latents = torch.zeros(3, *base.latent_shape)
        same = diversity(base, latents)
        assert same.measured_by == measured_by
        assert same.distance == pytest.approx(0, abs=1e-6)
        latents[2] = 2.0
        assert diversity(base, latents).distance > 1e-5
    assert diversity(base, latents).distance == pytest.approx((0 + 2 + 2) / 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"class_noun": ""}, "class_noun: say what the pictures show, such as dog, got ''"),
        ({"class_noun": "  "}, "class_noun: say what the pictures show"),
        ({"rank": 0}, r"rank must lie in \[1, 1024\], got 0"),
        ({"alpha": 0}, r"alpha must lie in \(0, 4096\], got 0"),
        ({"prior_weight": -1}, "prior_weight must .*got -1"),
        ({"rare_token": "two words"}, "rare_token: .*got 'two words'"),
    ],
)
def test_wrong_settings_are_one_sentence(values, message):
    with pytest.raises(InvalidInputError, match=message):
        config_of(**values)


def test_the_class_noun_has_to_be_given():
    with pytest.raises(InvalidInputError, match="class_noun: say what the pictures show"):
        parse_config("dreambooth", {})
