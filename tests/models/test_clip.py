"""The shared space of pictures and texts, on the starter and on a CLIP of its own."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTokenizer,
)

from dyod_studio.errors import BaseModelError
from dyod_studio.models.base import to_tensor
from dyod_studio.models.clip import Clip, load_clip
from dyod_studio.settings import ASSETS_DIR, STARTER_DIR

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def starter() -> Clip:
    return load_clip(STARTER_DIR, "starter", CPU)


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    paths = sorted((ASSETS_DIR / "examples" / "faces").glob("*.png"))[:4]
    return to_tensor([Image.open(path).convert("RGB").resize((128, 128)) for path in paths])


APPLE_TREE_HEART = ((0, 0), (512, 256), (0, 384))
"""Corners of three pictures of the starter's sheet, in pixels."""


def test_pictures_and_texts_become_unit_vectors_of_one_width(starter, faces):
    images, texts = starter.embed_images(faces), starter.embed_texts(["a face", "a blue heart"])
    assert images.shape == (4, starter.width)
    assert texts.shape == (2, starter.width)
    torch.testing.assert_close(images.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(2))


def test_what_the_starter_draws_is_nearest_to_the_words_it_was_asked_for(starter):
    sheet = Image.open(STARTER_DIR / "sheet.webp").convert("RGB")
    drawn = [sheet.crop((left, top, left + 128, top + 128)) for left, top in APPLE_TREE_HEART]
    words = starter.embed_texts(["a red apple", "a tree", "a blue heart"])
    nearest = (starter.embed_images(to_tensor(drawn)) @ words.T).argmax(1)
    assert nearest.tolist() == [0, 1, 2]


def test_the_size_of_a_picture_hardly_matters(starter, faces):
    large = torch.nn.functional.interpolate(faces, (256, 256), mode="nearest")
    cosine = (starter.embed_images(faces) * starter.embed_images(large)).sum(1)
    assert (cosine > 0.99).all()


def test_a_long_text_is_cut_rather_than_refused(starter):
    assert starter.embed_texts(["a red apple " * 60]).shape == (1, starter.width)


@pytest.fixture
def own_clip(tmp_path: Path) -> tuple[Path, CLIPModel]:
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(STARTER_DIR / "tokenizer")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    text = {
        **sizes,
        "num_hidden_layers": 1,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": tokenizer.model_max_length,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = {**sizes, "num_hidden_layers": 1, "image_size": 32, "patch_size": 8}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    CLIPImageProcessorPil(size={"shortest_edge": 32}).save_pretrained(tmp_path)
    return tmp_path, model


def test_a_clip_of_its_own_gives_the_embeddings_of_its_own_model(own_clip):
    folder, model = own_clip
    clip = load_clip(folder, "own", CPU)
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    pixels = ((images + 1) / 2 - clip.mean.view(1, 3, 1, 1)) / clip.std.view(1, 3, 1, 1)
    ids = clip.tokenizer(["a cat"], padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        expected_images = model.get_image_features(pixels).pooler_output
        expected_texts = model.get_text_features(ids).pooler_output
    torch.testing.assert_close(
        clip.embed_images(images), torch.nn.functional.normalize(expected_images, dim=-1)
    )
    torch.testing.assert_close(
        clip.embed_texts(["a cat"]), torch.nn.functional.normalize(expected_texts, dim=-1)
    )


def test_a_folder_without_a_clip_is_named_in_one_sentence(tmp_path):
    with pytest.raises(BaseModelError, match="no CLIP image encoder"):
        load_clip(tmp_path, "my base", CPU)
