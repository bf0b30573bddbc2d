"""Trained parts as files and labelled sets, on the command line; what is wrong changes nothing."""

import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from dyod_studio.models.artifacts import save_artifact
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.storage import open_storage
from tests.cli.conftest import CommandLine
from tests.cli.test_bad_input import check_sentence, everything_in
from tests.conftest import open_base
from tests.models.parts import anl_part, dreambooth_part


@pytest.fixture
def lora_file(tiny_base: Path, tmp_path: Path) -> Path:
    path = tmp_path / "ink.safetensors"
    save_file(dict(dreambooth_part(open_base(tiny_base)).tensors), path)
    return path


@pytest.fixture
def project(cli: CommandLine, tiny_base: Path, heads: Path, tmp_path: Path) -> str:
    """A project with pictures and an ANL."""
    assert cli("project", "create", "heads", "--base", tiny_base).code == 0
    assert cli("dataset", "add", "heads", heads).code == 0
    artifact = anl_part(open_base(tiny_base))
    path = save_artifact(artifact, tmp_path / "anl.safetensors")
    root = tmp_path / "storage"
    with (
        open_storage(root, f"sqlite:///{root / 'studio.db'}", migrate=True) as storage,
        storage.files.guard(),
        storage.database.session() as session,
    ):
        ArtifactRepository(session).add(
            1,
            "anl",
            storage.files.add_file(path),
            base_fingerprint=artifact.base_fingerprint,
            config=artifact.config,
        )
    return "heads"


def test_parts_come_and_go_and_a_set_is_enlarged(
    cli: CommandLine, project: str, lora_file: Path, heads: Path, tmp_path: Path
):
    part = cli("artifact", "import", project, lora_file).document
    assert (part["kind"], part["imported_from"]) == ("lora", "ink.safetensors")
    listed = cli("artifact", "list", project).document["artifacts"]
    assert [(row["kind"], row["is_in_use"]) for row in listed] == [("lora", True), ("anl", True)]
    out = tmp_path / "out"
    assert cli("artifact", "export", project, "lora", "--out", out).document == {
        "files": [str(out / "ink-lora.safetensors")]
    }
    assert cli("artifact", "use", project, part["id"]).document["id"] == part["id"]
    rare = cli("tokens", "rare", "--base", cli("project", "show", project).document["base"])
    assert len(rare.document["tokens"]) == 10

    ask = ("augment", project, "--per-class", 2, "--steps", 2, "--out", tmp_path / "more")
    first = cli(*ask, "--use", "anl", "--use", "lora", "--strength", 0.5)
    assert first.code == 0, first.out + first.err
    assert (first.document["num_classes"], first.document["num_drawn"]) == (1, 2)
    rows = [json.loads(x) for x in (tmp_path / "more/manifest.jsonl").read_text().splitlines()]
    assert [row["picture"] for row in rows] == [f"toy heads/0000{n}.png" for n in (1, 2)]
    again = cli(*ask, "--use", "anl", "--use", "lora", "--strength", 0.5)
    assert (again.document["num_drawn"], again.document["num_kept"]) == (0, 2)
    other = cli(*ask)
    assert other.code == 2
    assert "was begun with" in other.document["error"]


def test_what_is_wrong_with_a_file_or_a_number_is_one_sentence_and_changes_nothing(
    cli: CommandLine, project: str, lora_file: Path, heads: Path, tmp_path: Path
):
    save_file({"emb_params": torch.ones(2, 768)}, tmp_path / "sd1.safetensors")
    up = "lora_unet_conv_in.lora_up.weight"
    down = "lora_unet_conv_in.lora_down.weight"
    save_file({up: torch.ones(320, 4, 1, 1), down: torch.ones(4, 4, 3, 3)},
              tmp_path / "for sd1.safetensors")  # fmt: skip
    (tmp_path / "old.ckpt").write_bytes(b"\x80\x02}q\x00.")
    (tmp_path / "text.png").write_text("no picture at all")
    Image.new("RGB", (40, 40)).save(tmp_path / "one.png")
    condition = ("sample", project, "--from", "prompt", "--use", "anl", "--condition")
    enlarge = ("augment", project, "--per-class", 1, "--out", tmp_path / "new")
    wrong = {
        "What the pictures show is missing": (
            ("train", project, "dreambooth", "--set", "class_noun= "), "class_noun"),
        "a rank of 0": (("train", project, "dreambooth", "--set", "class_noun=dog",
                         "--set", "rank=0"), r"rank must lie in \[1, 1024\], got 0"),
        "all is masked": ((*condition, tmp_path / "one.png", "--mask-rate", 1), "mask_rate"),
        "all is masked in a set": ((*enlarge, "--mask-rate", 1), r"mask_rate .* \[0, 1\)"),
        "a condition that is no picture": ((*condition, tmp_path / "text.png"), "not an image"),
        "a condition that is not there": ((*condition, tmp_path / "no.png"), "There is no picture"),
        "a lora for another base": (
            ("artifact", "import", project, tmp_path / "for sd1.safetensors"),
            "this base model's is .* use it with the base model that it was trained on"),
        "a word for another base": (
            ("artifact", "import", project, tmp_path / "sd1.safetensors"),
            "width 24: use it with the base it was trained on"),
        "a pickle": (("artifact", "import", project, tmp_path / "old.ckpt"), "pickled weights"),
        "a part that is not there": (
            ("artifact", "export", project, "vae", "--out", tmp_path / "x"), "no trained part"),
        "no pictures": ((*enlarge[:2], "--per-class", 0, *enlarge[4:]), "per_class must lie in"),
        "no set": ((*enlarge, "--data", tmp_path / "nowhere"), "There is no folder"),
        "no class": (("tokens", "rare", "--class-noun", " "), "class_noun must say"),
        "no base": (("tokens", "rare", "--base", "/nowhere/at/all"), "There is no base model"),
    }  # fmt: skip
    before = everything_in(tmp_path / "storage")
    for reason, (arguments, message) in wrong.items():
        answer = cli(*arguments)
        assert answer.code == 2, (reason, answer.out + answer.err)
        check_sentence(answer.document["error"])
        assert re.search(message, answer.document["error"]), (reason, answer.document)
        now = everything_in(tmp_path / "storage")
        assert now[0] == before[0], reason
        assert [f for f in now[1] if ".lock" not in f] == [f for f in before[1] if ".lock" not in f]
    assert not (tmp_path / "new").exists()
