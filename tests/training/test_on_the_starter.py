"""What the tiny random bases cannot show: that the learned word is better than a written one."""

from pathlib import Path

import pytest
import torch

from dyod_studio.datasets.images import centre_crop
from dyod_studio.models.artifacts import load_artifact
from dyod_studio.models.devices import DtypePolicy
from dyod_studio.models.loading import load_base
from dyod_studio.settings import ASSETS_DIR
from dyod_studio.training.data import TrainingPicture, TrainingSet
from dyod_studio.training.registry import load_method, parse_config
from dyod_studio.training.run import Run

FACES = sorted((ASSETS_DIR / "examples" / "faces").glob("*.png"))


@pytest.mark.slow
def test_the_learned_word_beats_the_initial_word_on_a_style_never_seen(tmp_path: Path):
    base = load_base(
        "starter",
        starter_dir=ASSETS_DIR / "starter",
        device=torch.device("cpu"),
        dtype=DtypePolicy(),
    )
    pictures = [TrainingPicture(path, centre_crop((256, 256)), path.stem) for path in FACES]
    config = parse_config(
        "inversion",
        {"steps": 60, "initializer": "face", "preview_every": 1000, "checkpoint_every": 1000},
    )
    *_, ready = load_method("inversion").run(
        config, base, TrainingSet(pictures, tmp_path / "cache"), Run(tmp_path)
    )
    facts = load_artifact(ready.path, "inversion").facts
    assert facts["fixed_loss_after"] < 0.9 * facts["fixed_loss_before"]
