"""The word that an inversion starts from where the user names none."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from dyod_studio.models.artifacts import load_artifact
from dyod_studio.models.base import BaseModel
from dyod_studio.training import textual_inversion as first_words
from dyod_studio.training.registry import load_method, parse_config
from dyod_studio.training.run import Note, PicturesPrepared, Run
from dyod_studio.training.textual_inversion import (
    START_NOTE,
    first_word,
    initial_vectors,
    known_words,
)

UNKNOWN = "antidisestablishmentarianism"


@pytest.fixture
def latents(base: BaseModel) -> np.ndarray:
    """Five pictures of nothing in particular."""
    return torch.randn(5, *base.latent_shape, generator=torch.Generator().manual_seed(0)).numpy()


@pytest.fixture
def words(base: BaseModel) -> list[str]:
    """Three words of the small base's own vocabulary."""
    return [
        word.removesuffix("</w>")
        for word in sorted(base.tokenizer.get_vocab())
        if word.endswith("</w>") and word.removesuffix("</w>").isalpha()
    ][:3]


def finished(events) -> tuple[list[PicturesPrepared], str]:
    """All events of a generator, and what it returned."""
    seen = []
    while True:
        try:
            seen.append(next(events))
        except StopIteration as end:
            return seen, end.value


def test_a_word_of_several_tokens_is_not_tried(base, words):
    assert known_words(base, [*words, UNKNOWN]) == words


@pytest.mark.parametrize("chosen", [0, 2])
def test_the_word_under_which_the_pictures_are_denoised_best_is_chosen(
    base, latents, words, tmp_path, monkeypatch, chosen
):
    _answer_well_for(base, words[chosen], latents, monkeypatch)
    events, word = finished(first_word(base, latents, tmp_path, nouns=words))
    assert word == words[chosen]
    assert [event.done for event in events] == list(range(1, first_words.NUM_DRAWS + 1))


def test_the_words_are_tried_once_for_the_same_pictures(base, latents, words, tmp_path):
    events, word = finished(first_word(base, latents, tmp_path, nouns=words))
    again, same = finished(first_word(base, latents, tmp_path, nouns=words))
    assert (bool(events), again, same) == (True, [], word)
    others, _ = finished(first_word(base, latents + 1, tmp_path, nouns=words))
    assert others


def test_many_words_in_batches_are_judged_as_in_one(base, latents, words, tmp_path):
    _, whole = finished(first_word(base, latents, tmp_path / "whole", nouns=words))
    one = first_word(base, latents, tmp_path / "one by one", nouns=words, cells_at_once=1)
    _, one_by_one = finished(one)
    rows = [np.load(next((tmp_path / name).iterdir())) for name in ("whole", "one by one")]
    np.testing.assert_allclose(*rows, rtol=1e-4)
    assert whole == one_by_one


def test_a_base_that_knows_none_of_the_words_starts_from_its_mean_word(base, latents, tmp_path):
    events, word = finished(first_word(base, latents, tmp_path, nouns=[UNKNOWN]))
    assert (events, word, list(tmp_path.iterdir())) == ([], "", [])
    mean = base.text_encoder.get_input_embeddings().weight.mean(dim=0)
    torch.testing.assert_close(initial_vectors(base, "", 2, seed=0)[0], mean.float().cpu())


@pytest.mark.parametrize(
    ("initializer", "told"),
    [
        ("", [START_NOTE.format("{word}")]),
        ("disc", []),
    ],
)
def test_an_inversion_says_what_it_starts_from(base, dataset, tmp_path, initializer, told):
    config = parse_config("inversion", {"steps": 1, "initializer": initializer})
    events = list(load_method("inversion").run(config, base, dataset, Run(tmp_path / "run")))
    word = load_artifact(events[-1].path, "inversion").facts["first_word"]
    notes = [event.text for event in events if isinstance(event, Note)]
    assert notes == [text.format(word=word) for text in told]
    assert word == initializer or word in first_words.WORDS


def _answer_well_for(base, word, latents, monkeypatch) -> None:
    """Let the U-Net know the target exactly where the prompt is ``word``, and nothing elsewhere."""
    meant = base.encode_prompts([word])
    denoise: Callable = BaseModel.denoise

    def answer(self, noisy, timesteps, conditioning):
        is_meant = (conditioning - meant).abs().amax(dim=(1, 2)) < 1e-5
        wrong = denoise(self, noisy, timesteps, conditioning) + 100
        return torch.where(is_meant.view(-1, 1, 1, 1), noisy, wrong)

    monkeypatch.setattr(BaseModel, "denoise", answer)
