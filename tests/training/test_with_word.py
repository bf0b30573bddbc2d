"""A word that an inversion learned, said in the prompt of another run."""

from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import torch

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import Artifact, load_artifact
from dyod_studio.models.customised import SamplingConfig, open_customised
from dyod_studio.models.placeholder import trained_vectors, with_placeholder
from dyod_studio.requests.part_kinds import training_methods
from dyod_studio.training.registry import PromptedConfig, load_method, parse_config
from dyod_studio.training.run import PicturesPrepared, Run
from tests.training.needed import with_needed

SAYING = {
    "anl": {"prompt": "a <set>"},
    "dreambooth": {"class_noun": "<set>", "train_text_encoder": True},
    "custom-diffusion": {"class_noun": "<set>"},
    "full-finetune": {"prompt": "a <set>"},
    "scratch": {"prompt": "a <set>"},
}
WORD = "ab" * 32


@pytest.fixture
def tiny(base_models):
    return base_models["starter"]


@contextmanager
def knowing_base(base, seed=0):
    """A base to which an inversion taught <set>."""
    width = base.text_encoder.get_input_embeddings().embedding_dim
    vectors = torch.randn(2, width, generator=torch.Generator().manual_seed(seed))
    with with_placeholder(base, "<set>", vectors) as extended:
        trained_vectors(extended).requires_grad_(False)
        yield extended, vectors


def train(method, base, dataset, run_dir, **values):
    quick = {"preview_every": 10_000, "checkpoint_every": 10_000, "steps": 2, "word": WORD}
    settings = with_needed(method, quick) | SAYING[method] | values
    return list(
        load_method(method).run(parse_config(method, settings), base, dataset, Run(run_dir))
    )


def test_every_method_with_a_prompt_may_be_told_of_a_word():
    prompted = {
        name
        for name in training_methods()
        if issubclass(load_method(name).config_class, PromptedConfig)
    }
    assert prompted == set(SAYING)


@pytest.mark.slow
@pytest.mark.parametrize("method", list(SAYING))
def test_a_run_hears_the_word_leaves_it_as_it_was_and_draws_beside_it(
    tiny, dataset, tmp_path, method
):
    with knowing_base(tiny) as (base, vectors):
        ready = train(method, base, dataset, tmp_path / "heard")[-1]
        assert torch.equal(trained_vectors(base), vectors)
        assert trained_vectors(base).grad is None
    artifact = load_artifact(ready.path, method)
    with knowing_base(tiny, seed=1) as (base, _):
        other = load_artifact(train(method, base, dataset, tmp_path / "other")[-1].path, method)
    losses = [key for key in artifact.facts if key.endswith("loss_before")]
    assert any(artifact.facts[key] != other.facts[key] for key in losses)
    inversion = Artifact(
        "inversion", tiny.ref, tiny.fingerprint, {"token": "<set>"}, {}, {"emb_params": vectors}
    )
    with ExitStack() as stack:
        both = {"inversion": inversion, method: artifact}
        model = open_customised(stack, tiny, both)
        assert "<set>" in model.default_prompt
        (image,) = model.sample("prompt", [1], SamplingConfig(num_inference_steps=2))
    assert np.asarray(image).std() > 0
    with (
        ExitStack() as stack,
        pytest.raises(InvalidInputError, match=f"The {method} was trained beside the word of an"),
    ):
        open_customised(stack, tiny, {method: artifact})


def test_pictures_of_a_class_are_drawn_again_when_its_word_means_something_else(
    tiny, dataset, tmp_path
):
    counts = []
    for number, seed in enumerate((0, 0, 1)):
        with knowing_base(tiny, seed) as (base, _):
            events = train("custom-diffusion", base, dataset, tmp_path / str(number), steps=1)
        counts.append(sum(isinstance(event, PicturesPrepared) for event in events))
    assert counts == [2, 0, 1]


def test_the_concept_has_a_token_of_its_own_so_that_it_combines_with_the_inversion():
    config = parse_config("custom-diffusion", {"class_noun": "dog"})
    assert config.token != parse_config("inversion", {}).token
    assert [name for name, info in training_methods().items() if info.teaches_set] == ["inversion"]
