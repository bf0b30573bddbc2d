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
