"""Conditions on the starter's own CLIP."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from dyod_studio.errors import BaseModelError, InvalidInputError
from dyod_studio.models.clip import Clip, condition_embeddings, load_clip, open_clip
from dyod_studio.settings import ASSETS_DIR, STARTER_DIR


@pytest.fixture(scope="module")
def clip() -> Clip:
    return load_clip(STARTER_DIR, "starter", torch.device("cpu"))


@pytest.fixture(scope="module")
def faces() -> list[Image.Image]:
    paths = sorted((ASSETS_DIR / "examples" / "faces").glob("*.png"))[:3]
    return [Image.open(path).convert("RGB") for path in paths]


def test_pictures_and_texts_are_taken_in_turn(clip, faces):
    found = condition_embeddings(clip, [1, 2, 3, 4], images=faces)
    assert torch.equal(found[0], found[3])
    assert not torch.equal(found[0], found[1])
    found = condition_embeddings(clip, [1, 2, 3], texts=["a face", "a red apple"])
    torch.testing.assert_close(found, clip.embed_texts(["a face", "a red apple", "a face"]))


def test_a_seed_hears_the_same_in_any_batch(clip, faces):
    together = condition_embeddings(clip, [5, 6, 7], images=faces[:1], mask_rate=0.5)
    alone = condition_embeddings(clip, [6], images=faces[:1], mask_rate=0.5)
    torch.testing.assert_close(together[1:2], alone)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_the_higher_the_mask_rate_the_further_apart_the_conditions_of_one_picture(clip, faces):
    def mean_cosine(rate):
        found = condition_embeddings(clip, range(24), images=faces[:1], mask_rate=rate)
        return float((found @ found.T).mean())

    cosines = [mean_cosine(rate) for rate in (0.0, 0.3, 0.6)]
    assert cosines[0] > 0.9999
    assert cosines[0] > cosines[1] > cosines[2]


def test_the_weight_of_the_text_goes_from_the_picture_to_the_text(clip, faces):
    def mixed(weight):
        return condition_embeddings(
            clip, [0], images=faces[:1], texts=["a red apple"], text_weight=weight
        )

    picture = condition_embeddings(clip, [0], images=faces[:1])
    torch.testing.assert_close(mixed(0.0), picture)
    torch.testing.assert_close(mixed(1.0), clip.embed_texts(["a red apple"]))
    torch.testing.assert_close(mixed(0.3).norm(dim=1), torch.ones(1))
    cosines = [float(mixed(weight) @ picture.T) for weight in (0.0, 0.3, 0.7, 1.0)]
    assert cosines == sorted(cosines, reverse=True)


def test_of_a_picture_that_is_not_square_the_middle_is_read(clip, faces):
    side = faces[0].width
    wide = Image.new("RGB", (2 * side, side), "red")
    wide.paste(faces[0], (side // 2, 0))
    found = condition_embeddings(clip, [0], images=[wide])
    assert float(found @ condition_embeddings(clip, [0], images=faces[:1]).T) > 0.999


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "Give a condition picture or a condition text"),
        ({"texts": ["a face"], "text_weight": 1.2}, r"text_weight must lie in \[0, 1\], got 1.2"),
        ({"images": [Image.new("RGB", (8, 8))], "mask_rate": 1}, r"mask_rate .*\[0, 1\), got 1"),
    ],
)
def test_a_wrong_condition_is_one_sentence(clip, values, message):
    with pytest.raises(InvalidInputError, match=message):
        condition_embeddings(clip, [0], **values)


def test_a_base_brings_its_own_clip_or_is_given_one(base_models):
    base = base_models["starter"]
    assert open_clip(base).name == base.ref
    assert open_clip(base_models["sd15"], str(STARTER_DIR)).width == 128
    with pytest.raises(BaseModelError, match="no CLIP image encoder"):
        open_clip(base_models["sd15"])
    with pytest.raises(BaseModelError, match="no folder to load a CLIP from"):
        open_clip(replace(base, path=None))


def test_another_clip_than_the_one_it_was_trained_with_is_refused(base_models):
    base, own = base_models["sd15"], str(STARTER_DIR)
    found = open_clip(base, own).fingerprint
    assert open_clip(base, own, found).fingerprint == found
    with pytest.raises(InvalidInputError, match="is not the one that the ANL was trained with"):
        open_clip(base, own, "another")
