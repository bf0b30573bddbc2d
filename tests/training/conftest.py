"""Four small pictures, and a method run on them from end to end."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from dyod_studio.datasets.images import Crop
from dyod_studio.models.base import BaseModel
from dyod_studio.training import anl, denoising, dreambooth
from dyod_studio.training import subjects as class_pictures
from dyod_studio.training import textual_inversion as first_words
from dyod_studio.training.data import TrainingPicture, TrainingSet
from tests import bases
from tests.conftest import open_base

COLOURS = ("tomato", "gold", "teal", "navy")


@pytest.fixture(scope="session")
def base_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each shape of base with fewer layers: what is learned does not depend on their number."""
    root = tmp_path_factory.mktemp("small-bases")
    return {
        "starter": bases.starter_shaped(root / "starter"),
        "sd15": bases.sd15_shaped(root / "sd15", layers_per_block=1),
    }


@pytest.fixture(scope="session")
def base_models(base_folders: dict[str, Path]) -> dict[str, BaseModel]:
    return {name: open_base(folder) for name, folder in base_folders.items()}


@pytest.fixture
def dataset(tmp_path: Path) -> TrainingSet:
    """Four pictures of a disc on white."""
    pictures = []
    for index, colour in enumerate(COLOURS):
        image = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(image).ellipse((8, 8 + 4 * index, 40, 40 + 4 * index), fill=colour)
        path = tmp_path / f"{colour}.png"
        image.save(path)
        pictures.append(TrainingPicture(path, Crop(0, 0, 64), colour))
    return TrainingSet(pictures, tmp_path / "cache")


@pytest.fixture
def own_base(base_folders: dict[str, Path]) -> BaseModel:
    """A base of starter shape that a test may break."""
    return open_base(base_folders["starter"])


@pytest.fixture(autouse=True)
def short_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """What random networks draw is noise, however many steps it takes; words too."""
    monkeypatch.setattr(class_pictures, "CLASS_STEPS", 2)
    monkeypatch.setattr(first_words, "NUM_DRAWS", 2)
    monkeypatch.setattr(denoising, "NUM_DRAWS", 4)
    monkeypatch.setattr(denoising, "PREVIEW_STEPS", 2)
    monkeypatch.setattr(anl, "PREVIEW_STEPS", 2)
    monkeypatch.setattr(dreambooth, "NUM_COMPARED", 3)
