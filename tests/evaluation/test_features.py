"""What pictures are measured with, and features that are computed once, a few at a time."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image
from transformers import Dinov2Config, Dinov2Model

from dyod_studio.errors import InvalidInputError
from dyod_studio.evaluation.distances import kid
from dyod_studio.evaluation.features import AT_ONCE, FeatureCache, Source, features_of
from dyod_studio.evaluation.measure import Reference, measure, sample_note, subset_size
from dyod_studio.models.devices import DtypePolicy
from dyod_studio.models.feature_extractors import FeatureExtractor, open_extractor
from dyod_studio.models.loading import load_base

CPU = torch.device("cpu")
PLAIN = DtypePolicy(storage=torch.float32, compute=torch.float32)


def colour(number: int) -> Image.Image:
    return Image.new("RGB", (8, 8), (number % 256, number // 256 % 256, 90))


def sources(numbers: range) -> list[Source]:
    return [Source(f"picture {n}", lambda n=n: colour(n)) for n in numbers]


class Eye:
    """An extractor that sees the colour, and counts what it is shown."""

    def __init__(self) -> None:
        self.shown: list[int] = []

    def embed(self, images) -> torch.Tensor:
        self.shown.append(len(images))
        return torch.tensor([image.getpixel((0, 0)) for image in images], dtype=torch.float32)

    @property
    def extractor(self) -> FeatureExtractor:
        return FeatureExtractor("Eye", "eye", "clip", self.embed)


@pytest.fixture(scope="module")
def bases(base_folders):
    return {
        name: load_base(str(base_folders[name]), starter_dir=base_folders["starter"], device=CPU,
                        dtype=PLAIN)
        for name in ("starter", "sd15")
    }  # fmt: skip


def test_features_are_computed_once_in_small_chunks_and_kept_in_the_order_that_is_asked(tmp_path):
    eye, cache = Eye(), FeatureCache(tmp_path)
    first = features_of(sources(range(100)), eye.extractor, cache)
    assert first[:, 0].tolist() == list(range(100))
    assert sum(eye.shown) == 100
    assert max(eye.shown) <= AT_ONCE
    again = features_of(sources(range(99, -1, -1)), eye.extractor, cache)
    assert torch.equal(again, first.flip(0))
    assert sum(eye.shown) == 100
    for path in tmp_path.rglob("*.safetensors"):
        path.write_bytes(b"cut off by a power cut")
        break
    assert torch.equal(features_of(sources(range(100)), eye.extractor, cache), first)
    assert 100 < sum(eye.shown) < 110
    twice = features_of([*sources(range(2)), *sources(range(2))], eye.extractor, cache)
    assert torch.equal(twice[:2], twice[2:])
    with pytest.raises(InvalidInputError, match="no pictures to measure"):
        features_of([], eye.extractor, cache)


@pytest.mark.slow
def test_thirty_thousand_pictures_stream_and_are_measured(tmp_path):
    eye = Eye()
    real = features_of(sources(range(30_000)), eye.extractor, FeatureCache(tmp_path))
    assert real.shape == (30_000, 3)
    assert max(eye.shown) <= AT_ONCE
    made = real[torch.randperm(30_000, generator=torch.Generator().manual_seed(0))[:300]]
    figures = measure(Reference(eye.extractor, real), made, ("kid", "fid", "is", "recall"))
    assert set(figures) == {"kid", "fid", "is", "recall"}


def test_the_bases_own_clip_is_always_there_and_a_base_without_one_is_told(bases):
    folder = bases["starter"].path
    own = open_extractor("base", bases["starter"], folder)
    rows = own.embed([colour(1), colour(60_000)])
    assert own.note == ""
    assert rows.pow(2).mean(dim=1).tolist() == pytest.approx([1, 1], rel=1e-4)
    assert own.embed_texts(["a red shoe"]).shape[1] == rows.shape[1]
    quarters = open_extractor("base-quarters", bases["starter"], folder)
    picture = Image.new("RGB", (128, 128), "red")
    picture.paste((0, 0, 90), (64, 0, 128, 64))
    whole = own.embed([Image.new("RGB", (64, 64), "red"), colour(0)])
    assert quarters.name == f"{own.name}, in quarters"
    torch.testing.assert_close(
        quarters.embed([picture]), whole[[0, 1, 0, 0]].reshape(1, -1), rtol=1e-3, atol=1e-3
    )
    lent = open_extractor("base", bases["sd15"], folder)
    assert lent.name == "CLIP of starter"
    assert "has no CLIP image encoder, so the starter's was used" in lent.note
    torch.testing.assert_close(lent.embed([colour(1)]), rows[:1])


@pytest.mark.parametrize(
    ("ref", "why"),
    [
        ("no such thing", "There is no extractor 'no such thing'"),
        ("no/such", "'no/such' is neither here nor within reach"),
        ("inception", "torch-fidelity, which is not installed"),
    ],
)
def test_an_extractor_that_cannot_be_had_falls_back_and_says_so(bases, ref, why, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    found = open_extractor(ref, bases["starter"], bases["starter"].path)
    assert found.name.startswith("CLIP of ")
    assert why in found.note
    assert f"{found.name} was used instead" in found.note


def test_a_folder_that_holds_something_else_falls_back(bases, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    found = open_extractor(str(tmp_path), bases["starter"], bases["starter"].path)
    assert "holds a bert, no CLIP or DINOv2" in found.note


def test_a_dinov2_folder_is_read(bases, tmp_path):
    network = Dinov2Model(
        Dinov2Config(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=28)
    )
    network.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(
        '{"crop_size": {"height": 28, "width": 28}, "image_mean": [0.5, 0.5, 0.5], '
        '"image_std": [0.2, 0.2, 0.2]}'
    )
    dino = open_extractor(str(tmp_path), bases["starter"], bases["starter"].path)
    assert (dino.family, dino.note, dino.embed_texts) == ("dino", "", None)
    rows = dino.embed([colour(n * 2000) for n in range(12)])
    assert rows.shape == (12, 24)
    figures = measure(Reference(dino, rows, "a shoe"), rows, ("clip_i", "clip_t", "dino"))
    assert set(figures) == {"dino"}


def test_the_inception_of_a_kept_library_is_used_where_it_is_installed(bases, monkeypatch):
    """The library's class as it documents itself: uint8 pictures in, a tuple of features out."""

    class FeatureExtractorInceptionV3(torch.nn.Module):
        def __init__(self, name: str, features_list: list[str]) -> None:
            super().__init__()
            assert features_list == ["2048"]
            self.fc = torch.nn.Linear(3, 5)

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor]:
            assert pixels.dtype == torch.uint8
            return (pixels.float().mean(dim=(2, 3)),)

    library = ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    library.FeatureExtractorInceptionV3 = FeatureExtractorInceptionV3
    monkeypatch.setitem(sys.modules, library.__name__, library)
    monkeypatch.setitem(sys.modules, "torch_fidelity", ModuleType("torch_fidelity"))
    found = open_extractor("inception", bases["starter"], Path())
    rows = found.embed([colour(7)])
    assert rows.tolist() == [[7, 0, 90]]
    assert found.classify(rows).sum().item() == pytest.approx(1)


def test_few_pictures_are_told_and_kid_of_halves_is_nothing_within_its_noise():
    assert "great differences only" in sample_note(20, 500, 16)
    assert "fewer pictures than the 128 numbers" in sample_note(100, 100, 128)
    assert sample_note(300, 300, 128) == ""
    assert subset_size(300, 300) == 100
    assert subset_size(4, 300) == 2
    rows = torch.randn(80, 16, generator=torch.Generator().manual_seed(3))
    found = kid(rows[:40], rows[40:], subset_size=subset_size(40, 40))
    assert abs(found.mean) < found.std
