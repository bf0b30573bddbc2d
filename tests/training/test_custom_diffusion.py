"""Custom Diffusion from pictures to pictures: trained, stored, loaded, sampled."""

import pytest
import torch

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import load_artifact
from dyod_studio.models.custom_diffusion import load_custom_diffusion, with_custom_diffusion
from dyod_studio.models.customised import CustomisedModel, SamplingConfig
from dyod_studio.models.placeholder import with_placeholder
from dyod_studio.training.registry import load_method, parse_config
from dyod_studio.training.run import PicturesPrepared, Run, StepDone

METHOD = "custom-diffusion"
QUICK = {
    "preview_every": 10_000,
    "checkpoint_every": 10_000,
    "class_noun": "shoe",
    "num_class_pictures": 2,
    "learning_rate": 1.5e-4,
}


def train(base, dataset, run_dir, **values):
    config = parse_config(METHOD, QUICK | values)
    return list(load_method(METHOD).run(config, base, dataset, Run(run_dir)))


def weights_of(base):
    modules = {"unet": base.unet, "vae": base.vae, "text": base.text_encoder}
    return {
        f"{part}.{name}": tensor.clone()
        for part, module in modules.items()
        for name, tensor in module.state_dict().items()
    }


@pytest.mark.slow
def test_four_pictures_are_fitted_and_the_base_stays_bit_identical(base, dataset, tmp_path):
    before = weights_of(base)
    events = train(base, dataset, tmp_path / "run", steps=50, prior_weight=0)
    artifact = load_artifact(events[-1].path, METHOD)
    facts = artifact.facts
    assert facts["fixed_loss_after"] < 0.99 * facts["fixed_loss_before"]
    after = weights_of(base)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    modules = (base.unet, base.vae, base.text_encoder)
    assert not any(p.grad is not None for module in modules for p in module.parameters())
    assert facts["num_parameters"] == sum(t.numel() for t in artifact.tensors.values())
    assert all(tensor.dtype == torch.float32 for tensor in artifact.tensors.values())
    assert all(tensor.abs().max() > 0 for tensor in artifact.tensors.values())


def test_a_stored_file_draws_its_concept_and_the_strength_leads_there(own_base, dataset, tmp_path):
    base = own_base
    artifact = load_artifact(train(base, dataset, tmp_path, steps=20)[-1].path, METHOD)
    change = load_custom_diffusion(artifact, base)
    token, reverse = artifact.config["token"], SamplingConfig(1.0, 4, 2.0, "a <concept> shoe")

    def drawn(strength):
        with (
            with_placeholder(base, token, artifact.tensors["emb_params"]) as extended,
            with_custom_diffusion(extended, change, strength),
        ):
            return CustomisedModel(extended).sample("prompt", [1], reverse)[0].tobytes()

    assert drawn(1.0) != drawn(0.0)
    assert drawn(1.0) == drawn(1.0)


def test_the_prior_term_adds_the_weighted_loss_of_class_pictures_to_the_same_concept_term(
    own_base, dataset, tmp_path
):
    def first_loss(weight):
        events = train(
            own_base, dataset, tmp_path / str(weight), steps=1, prior_weight=weight, batch_size=2
        )
        return next(event.loss for event in events if isinstance(event, StepDone))

    none, one, two = (first_loss(weight) for weight in (0, 1, 2))
    assert one > none
    assert two - one == pytest.approx(one - none, rel=1e-3)


def test_class_pictures_are_drawn_once_and_not_at_all_without_a_prior(own_base, dataset, tmp_path):
    counts = []
    for name, weight in (("without", 0), ("first", 1), ("second", 1)):
        events = train(own_base, dataset, tmp_path / name, steps=1, prior_weight=weight)
        counts.append(sum(isinstance(event, PicturesPrepared) for event in events))
    assert counts == [1, 1, 0]


def test_the_token_starts_from_a_rare_token_or_from_the_word_it_is_given(
    own_base, dataset, tmp_path
):
    words = []
    for name in ("", "heartbeat"):
        ready = train(
            own_base, dataset, tmp_path / f"from {name}", steps=1, initializer=name, prior_weight=0
        )[-1]
        words.append(load_artifact(ready.path, METHOD).facts["initial_word"])
    assert words[1] == "heartbeat"
    assert 1 <= len(words[0].strip()) <= 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"class_noun": " "}, "class_noun: say what the pictures show, such as dog, got ' '"),
        ({"token": "shoe"}, "token: .*got 'shoe'"),
        ({"prior_weight": -1}, "prior_weight must .*got -1"),
    ],
)
def test_a_wrong_setting_is_one_sentence(values, message):
    with pytest.raises(InvalidInputError, match=message):
        parse_config(METHOD, QUICK | values)


def test_the_class_noun_must_be_given():
    with pytest.raises(InvalidInputError, match="class_noun: say what the pictures show"):
        parse_config(METHOD, {})
