import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dyod_studio.errors import BaseModelError
from dyod_studio.models.references import check_base_ref, locate_base


@pytest.fixture
def folder(base_folders: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a base that a test may damage."""
    return Path(shutil.copytree(base_folders["sd15"], tmp_path / "base"))


def refusal(ref: str | Path, starter_dir: Path = Path("nowhere")) -> str:
    with pytest.raises(BaseModelError) as caught:
        check_base_ref(str(ref), starter_dir)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message


def test_starter_folder_file_and_hub_id_are_told_apart(folder, tmp_path):
    single = tmp_path / "model.safetensors"
    single.touch()
    assert locate_base("starter", folder).path == folder
    assert locate_base(str(folder), Path("nowhere")).kind == "folder"
    assert locate_base(str(single), Path("nowhere")).kind == "file"
    assert locate_base("someone/some-model", Path("nowhere")).kind == "hub"


def test_a_whole_folder_passes(folder):
    check_base_ref(str(folder), Path("nowhere"))
    check_base_ref("starter", folder)


def test_a_starter_that_is_not_there_says_so(tmp_path):
    assert refusal("starter", tmp_path).startswith("The starter base model is not in diffusers")


@pytest.mark.parametrize("ref", ["nonsense", "/no/such/folder", "gone.safetensors", "a b/c"])
def test_a_base_that_does_not_exist_lists_what_may_be_given(ref):
    message = refusal(ref)
    assert message.startswith(f"There is no base model {ref!r}")
    assert "'starter'" in message


def test_an_unknown_hub_id_without_a_network_says_both(monkeypatch):
    message = refusal("nobody-at-all/nothing-there")
    assert "no folder 'nobody-at-all/nothing-there'" in message
    assert "cannot be reached" in message


@pytest.mark.parametrize("suffix", [".ckpt", ".bin", ".pt", ".pth", ".CKPT"])
@pytest.mark.parametrize("exists", [True, False])
def test_pickled_files_are_refused_with_the_way_out(tmp_path, suffix, exists):
    path = tmp_path / f"model{suffix}"
    if exists:
        path.write_bytes(b"\x80\x04.")
    message = refusal(path)
    assert "can run any program" in message
    assert "save_file" in message


def test_a_folder_with_pickled_weights_only_is_refused_with_the_way_out(folder):
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    message = refusal(folder)
    assert "in unet, pickled weights" in message
    assert "save_file" in message


def test_a_folder_without_weights_names_the_part(folder):
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    assert "is incomplete: it has no weights in vae" in refusal(folder)


@pytest.mark.parametrize("part", ["text_encoder", "tokenizer", "scheduler"])
def test_a_folder_without_a_part_is_incomplete(folder, part):
    shutil.rmtree(folder / part)
    assert "is incomplete" in refusal(folder)


def test_a_missing_shard_is_named(folder):
    unet = folder / "unet"
    index = {"weight_map": {"a": "one-of-two.safetensors", "b": "two-of-two.safetensors"}}
    (unet / "diffusion_pytorch_model.safetensors").rename(unet / "one-of-two.safetensors")
    (unet / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    assert "unet/two-of-two.safetensors is missing" in refusal(folder)


def test_another_kind_of_pipeline_is_named(folder):
    index = folder / "model_index.json"
    index.write_text(json.dumps({"_class_name": "StableDiffusionXLPipeline"}))
    assert "holds a StableDiffusionXLPipeline" in refusal(folder)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_broken_index_is_one_sentence(folder, text):
    (folder / "model_index.json").write_text(text)
    assert "model_index.json" in refusal(folder)


def test_a_picture_is_no_base_model(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(b"x")
    assert "a single file ends in .safetensors" in refusal(path)


def test_names_are_checked_without_torch():
    code = "import sys; import dyod_studio.models.references; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
