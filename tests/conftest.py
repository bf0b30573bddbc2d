"""Bases that many tests share: tiny, random, of real structure."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest
import torch

from dyod_studio.models.base import BaseModel
from dyod_studio.models.devices import DtypePolicy
from dyod_studio.models.loading import load_base
from tests import bases

SHAPES = {"starter": bases.starter_shaped, "sd15": bases.sd15_shaped}
TESTS = Path(__file__).parent
LONGEST_FIRST = (
    "browser/test_whole_way.py", "training/test_methods.py", "browser/test_studio_screen.py",
    "browser/test_screens.py", "cli/test_whole_way.py", "browser/test_gallery_screen.py",
    "browser/test_keyboard.py", "browser/test_explore_screen.py", "jobs/test_life_of_a_run.py",
    "jobs/test_many_workers.py", "training/test_lora.py", "training/test_ladder.py",
    "tools/test_kill_campaign.py", "jobs/test_sampler_pool.py", "test_version_1.py",
    "training/test_with_word.py", "training/test_baselines.py", "training/test_checkpoints.py",
    "training/test_dreambooth.py", "jobs/test_worker.py", "jobs/test_sampler.py",
    "services/test_planning.py", "services/test_artifacts.py", "training/test_planning.py",
    "tools/test_starter.py", "training/test_anl.py", "training/test_custom_diffusion.py",
)  # fmt: skip
"""Files whose tests take longest: they come first, or one process would end long after the others.

The browser's come before those that compute, since a page mostly waits.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the files by how long they take; within a file all stays as it is written."""
    rank = {TESTS / name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.fixture(scope="session")
def base_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each shape of base, in diffusers layout."""
    root = tmp_path_factory.mktemp("bases")
    return {name: build(root / name) for name, build in SHAPES.items()}


@pytest.fixture(scope="session")
def base_models(base_folders: dict[str, Path]) -> dict[str, BaseModel]:
    return {name: open_base(folder) for name, folder in base_folders.items()}


@pytest.fixture(params=list(SHAPES))
def shape(request: pytest.FixtureRequest) -> str:
    """Whatever uses ``base`` runs once on each shape."""
    return str(request.param)


@pytest.fixture
def base_folder(base_folders: dict[str, Path], shape: str) -> Path:
    return base_folders[shape]


@pytest.fixture
def base(base_models: dict[str, BaseModel], shape: str) -> BaseModel:
    return base_models[shape]


def open_base(folder: Path) -> BaseModel:
    return load_base(
        str(folder), starter_dir=folder, device=torch.device("cpu"), dtype=DtypePolicy()
    )
