"""Trained parts made elsewhere, dropped on the Gallery of a real studio with a tiny base model."""

import json
import re

import gradio as gr
import pytest
import torch
from safetensors.torch import save_file

from dyod_studio.bootstrap import build_studio
from dyod_studio.models.artifacts import load_artifact
from dyod_studio.settings import Settings
from dyod_studio.store.files import SAFETENSORS
from dyod_studio.store.storage import open_storage
from dyod_studio.ui.common.part_picker import show_parts
from dyod_studio.ui.gallery.import_export import on_bring, on_export
from tests.conftest import open_base
from tests.models.parts import dreambooth_part
from tests.services.rows import rows_in

WIDTH = 24


@pytest.fixture
def settings(tmp_path, base_folders):
    base = str(base_folders["starter"])
    return Settings(storage=tmp_path / "storage", base=base, device="cpu")


@pytest.fixture
def storage(settings):
    with open_storage(settings.storage, settings.resolved_database_url, migrate=True) as storage:
        yield storage


@pytest.fixture
def studio(settings, storage):
    return build_studio(settings, storage, pytest.fail)


@pytest.fixture
def project(studio):
    return studio.projects.create("Shoes").id


@pytest.fixture(scope="session")
def lora(base_folders):
    """A LoRA of the tiny base in kohya's layout."""
    return dict(dreambooth_part(open_base(base_folders["starter"])).tensors)


def as_peft(tensors):
    """The layers of the U-Net as PEFT writes them: no alpha, two letters for down and up."""
    ends = {".lora_down.weight": ".lora_A.weight", ".lora_up.weight": ".lora_B.weight"}
    return {
        f"base_model.model.{key.removeprefix('lora_unet_').partition('.')[0]}{ends[end]}": tensor
        for key, tensor in tensors.items()
        for end in ends
        if key.startswith("lora_unet_") and key.endswith(end)
    }


def file(tmp_path, name, tensors):
    save_file(tensors, tmp_path / name)
    return str(tmp_path / name)


def test_a_lora_and_a_word_are_brought_in_offered_and_go_out_again(studio, project, lora, tmp_path):
    word = file(tmp_path, "My Style.safetensors", {"emb_params": torch.full((2, WIDTH), 0.1)})
    told = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gr, "Info", told.append)
        assert on_bring(studio, project, [word]) == (gr.skip(),) * 3
        panel, kinds, *_ = show_parts(studio, project, {})
        assert (panel["visible"], kinds["value"]) == (True, ["embedding"])
        on_bring(studio, project, [file(tmp_path, "ink.safetensors", lora)])
    assert "My Style is here (Word from elsewhere)" in told[0]
    assert "say <my-style> in the prompt" in told[0]
    assert "ink is here (LoRA from elsewhere)" in told[1]
    _, kinds, strength, *_ = show_parts(studio, project, {})
    assert [kind for _, kind in kinds["choices"]] == ["embedding", "lora"]
    assert strength["visible"] is True
    packed = on_export(studio, tmp_path / "scratch", project, "artifacts")
    assert "3 files" in packed["label"]


def test_pefts_word_on_its_weights_counts_when_it_comes_along(
    studio, storage, project, lora, tmp_path
):
    weights = file(tmp_path, "adapter_model.safetensors", as_peft(lora))
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    beside = folder / "adapter_config.json"
    beside.write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 7}))
    for files, is_seven in (([weights], False), ([str(beside), weights], True)):
        on_bring(studio, project, files)
        part = studio.artifacts.find(project, "lora")
        tensors = load_artifact(storage.files.path(part.sha256, SAFETENSORS), "lora").tensors
        alphas = {float(tensor) for key, tensor in tensors.items() if key.endswith(".alpha")}
        assert (alphas == {7.0}) is is_seven


def test_a_wrong_file_is_one_sentence_on_the_page_and_nothing_changes(
    settings, studio, project, lora, tmp_path
):
    (tmp_path / "old.pt").write_bytes(b"\x80\x02}q\x00.")
    (tmp_path / "torn.safetensors").write_bytes(b"not much")
    (tmp_path / "notes.txt").write_text("a LoRA")
    wider = {k: torch.cat([t, t], 1) for k, t in lora.items() if "lora_down" in k}
    wrong = [
        (str(tmp_path / "old.pt"), "old.pt is refused: pickled weights"),
        (str(tmp_path / "torn.safetensors"), "torn.safetensors is not a readable .safetensors"),
        (str(tmp_path / "notes.txt"), "a trained part's .safetensors, got 'notes.txt'"),
        (file(tmp_path, "sd1.safetensors", {"emb_params": torch.ones(1, 768)}), "have width 24"),
        (file(tmp_path, "wide.safetensors", lora | wider), "was made for a layer .*: use it"),
        (
            file(tmp_path, "odd.safetensors", {"a.b": torch.ones(1), "c": torch.ones(1)}),
            "belongs to no LoRA",
        ),
    ]

    def everything():
        files = sorted(p for p in (settings.storage / "files").rglob("*") if p.is_file())
        return rows_in(settings), files, list((settings.storage / "tmp").iterdir())

    before = everything()
    for path, message in wrong:
        with pytest.raises(gr.Error, match=message) as caught:
            on_bring(studio, project, [path])
        assert "\n" not in caught.value.message
        assert not re.search(r"\. [A-Z]", caught.value.message)
        assert str(tmp_path) not in caught.value.message
        assert everything() == before
    for files in ([], [wrong[0][0], wrong[1][0]]):
        with pytest.raises(gr.Error, match=f"one file at a time, got {len(files)}"):
            on_bring(studio, project, files)
    with pytest.raises(gr.Error, match="Choose a project first"):
        on_bring(studio, None, [wrong[1][0]])
    assert everything() == before
