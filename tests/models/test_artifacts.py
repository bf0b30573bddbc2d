import hashlib

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from dyod_studio.models.artifacts import Artifact, load_artifact, save_artifact

PART = Artifact(
    "vae",
    "starter",
    "fingerprint",
    {"title": 'été „quoted" \\ / \u0007'},
    {"facts": [1.5]},
    {f"tensor {n}": torch.arange(3.0) + n for n in range(9)},
)


def test_equal_parts_are_equal_files(tmp_path):
    paths = [save_artifact(PART, tmp_path / f"{n}.safetensors", {"b": "1"}) for n in range(20)]
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}) == 1


def test_an_ordered_header_reads_like_any_other(tmp_path):
    path = save_artifact(PART, tmp_path / "part.safetensors", {"modelspec.title": "<chairs>"})
    tensors = load_file(path)
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        name: tensor.tolist() for name, tensor in PART.tensors.items()
    }
    with safe_open(path, "pt") as file:
        assert file.metadata()["modelspec.title"] == "<chairs>"
    assert load_artifact(path, "vae").config == PART.config
