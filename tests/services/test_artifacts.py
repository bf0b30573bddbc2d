"""Trained parts come in from elsewhere, go out, and are chosen; a wrong file changes nothing."""

from zipfile import ZipFile

import pytest
import torch
from safetensors.torch import load_file, save_file

from dyod_studio.bootstrap import build_studio
from dyod_studio.errors import BaseModelError, InvalidInputError, NotFoundError, SamplerError
from dyod_studio.jobs.one_shot import rare_tokens, run_here, run_in_subprocess
from dyod_studio.models.artifacts import load_artifact
from dyod_studio.requests.sampling import SampleRequest
from dyod_studio.store.files import SAFETENSORS
from tests.conftest import open_base
from tests.models.parts import dreambooth_part
from tests.services.rows import rows_in

WIDTH = 24


@pytest.fixture
def word_file(tmp_path):
    path = tmp_path / "My Style.safetensors"
    save_file({"emb_params": torch.full((2, WIDTH), 0.1)}, path)
    return path


@pytest.fixture(scope="module")
def lora_tensors(base_ref):
    return dict(dreambooth_part(open_base(base_ref)).tensors)


@pytest.fixture
def lora_file(lora_tensors, tmp_path):
    path = tmp_path / "ink.safetensors"
    save_file(lora_tensors, path, {"modelspec.trigger_phrase": "ink drawing"})
    return path


def everything(settings):
    """All rows, and all files but those that are only for a moment."""
    files = sorted(str(p) for p in (settings.storage / "files").rglob("*") if p.is_file())
    return rows_in(settings), files, list((settings.storage / "tmp").iterdir())


def test_a_word_and_a_lora_come_in_are_listed_and_go_out_again(
    settings, storage, studio, shoes, word_file, lora_file, tmp_path
):
    word = studio.artifacts.import_file("Shoes", word_file)
    assert (word.kind, word.token, word.title) == ("embedding", "<my-style>", "My Style")
    lora = studio.artifacts.import_file(shoes.id, lora_file, title="Ink")
    assert (lora.kind, lora.token, lora.imported_from) == ("lora", None, "ink.safetensors")
    assert studio.projects.get("Shoes").artifacts == ("embedding", "lora")
    assert studio.artifacts.list("Shoes") == (lora, word)
    stored = load_artifact(storage.files.path(lora.sha256, SAFETENSORS), "lora")
    assert stored.facts["prompt"] == "ink drawing"

    files = studio.artifacts.export("Shoes", "embedding", tmp_path / "out")
    assert [str(file.relative_to(tmp_path / "out")) for file in files] == [
        "my-style.safetensors",
        "diffusers/my-style/learned_embeds.safetensors",
    ]
    assert list(load_file(files[1])) == ["<my-style>"]
    (one,) = studio.artifacts.export("Shoes", lora.id, tmp_path / "deep" / "x.safetensors")
    assert load_file(one).keys() == load_file(lora_file).keys()
    again = studio.artifacts.import_file("Shoes", files[1])
    assert (again.token, again.title) == ("<my-style>", "<my-style>")

    report = studio.exports.export("Shoes", "artifacts", tmp_path / "all.zip")
    with ZipFile(report.file) as archive:
        assert sorted(archive.namelist()) == [
            "imported/Ink-lora.safetensors",
            "imported/diffusers/my-style/learned_embeds.safetensors",
            "imported/my-style.safetensors",
        ]

    newer = studio.artifacts.import_file("Shoes", word_file, token="<other>")
    in_use = [part.token for part in studio.artifacts.list("Shoes") if part.is_in_use]
    assert (newer.token, in_use) == ("<other>", ["<other>", None])
    chosen = studio.artifacts.use("Shoes", word.id)
    assert (chosen.token, chosen.sha256, chosen.is_in_use) == (word.token, word.sha256, True)
    assert studio.artifacts.use("Shoes", chosen.id) == chosen
    assert len(studio.artifacts.list("Shoes")) == 4
    with pytest.raises(NotFoundError, match=rf"no trained part '{word.id}'; it has"):
        studio.artifacts.find("Shoes", word.id)


def test_a_request_draws_with_what_was_brought_in(settings, storage, lora_file, word_file):
    from dyod_studio.jobs.sampler import run_request

    studio = build_studio(
        settings, storage, lambda request: run_request(settings, storage, request)
    )
    studio.projects.create("Boots")
    ask = {"kind": "prompt", "seed": 3, "num_images": 1, "num_inference_steps": 2}
    plain = studio.sampling.sample("Boots", SampleRequest(prompt="a dog", **ask))
    with pytest.raises(InvalidInputError, match="has no trained lora yet: train 'lora' first"):
        studio.sampling.sample("Boots", SampleRequest(use=("lora",), **ask))
    studio.artifacts.import_file("Boots", lora_file)
    studio.artifacts.import_file("Boots", word_file)
    hashes = {plain[0].parameters["prompt"]: plain[0].sha256}
    for use, strength, prompt in (
        (("lora",), 1.0, None),
        (("lora",), 0.5, None),
        (("lora", "embedding"), 1.0, "ink drawing of <my-style>"),
        (("embedding",), 1.0, None),
    ):
        wish = SampleRequest(use=use, adapter_strength=strength, prompt=prompt, **ask)
        (made,) = studio.sampling.sample("Boots", wish)
        assert sorted(made.parameters["artifacts"]) == sorted(use)
        hashes[(made.parameters["prompt"], strength)] = made.sha256
    assert [key[0] for key in list(hashes)[1:]] == [
        "ink drawing", "ink drawing", "ink drawing of <my-style>", "<my-style>"
    ]  # fmt: skip
    assert len(set(hashes.values())) == 5


def test_a_wrong_file_is_one_sentence_and_nothing_changes(
    settings, studio, shoes, word_file, lora_tensors, tmp_path
):
    def file(name, tensors):
        save_file(tensors, tmp_path / name)
        return tmp_path / name

    (tmp_path / "old.pt").write_bytes(b"\x80\x02}q\x00.")
    (tmp_path / "torn.safetensors").write_bytes(word_file.read_bytes()[:50])
    wider = {k: torch.cat([t, t], 1) for k, t in lora_tensors.items() if "lora_down" in k}
    wrong = [
        (tmp_path / "nowhere.safetensors", {}, "There is no file"),
        (tmp_path / "old.pt", {}, "pickled weights can run any program"),
        (tmp_path / "torn.safetensors", {}, "not a readable .safetensors file"),
        (file("sd1.safetensors", {"emb_params": torch.ones(1, 768)}), {}, "have width 24: use it"),
        (file("wide.safetensors", lora_tensors | wider), {}, "was made for a layer .*: use it"),
        (file("odd.safetensors", {"a": torch.ones(1), "b": torch.ones(1)}), {}, "'[ab]', which"),
        (word_file, {"token": "cat"}, "token must be one word .* in angle brackets"),
        (word_file, {"token": "<a b>"}, "token must be one word"),
    ]
    before = everything(settings)
    for path, more, message in wrong:
        with pytest.raises(InvalidInputError, match=message) as caught:
            studio.artifacts.import_file("Shoes", path, **more)
        assert "\n" not in str(caught.value)
        assert everything(settings) == before
    with pytest.raises(NotFoundError, match="no trained part 'vae'; it has none yet"):
        studio.artifacts.export("Shoes", "vae", tmp_path / "out")
    part = studio.artifacts.import_file("Shoes", word_file)
    (tmp_path / "taken").write_text("keep me")
    with pytest.raises(InvalidInputError, match="is a file: give a folder"):
        studio.artifacts.export("Shoes", part.id, tmp_path / "taken")
    assert not (tmp_path / "out").exists()


def test_rare_tokens_are_found_for_a_base_and_wrong_questions_are_refused(settings, storage):
    calls = []

    def run(function, *arguments):
        calls.append(function)
        return run_here(function, *arguments)

    tokens = build_studio(settings, storage, pytest.fail, run).tokens
    found = tokens.rare("dog", count=3)
    assert len(found) == 3
    assert all(1 <= len(token.text) <= 3 and token.place > 0 for token in found)
    assert calls == [rare_tokens]
    with pytest.raises(InvalidInputError, match="class_noun must say .* got '  '"):
        tokens.rare("  ")
    with pytest.raises(InvalidInputError, match=r"count must lie in \[1, 100\], got 0"):
        tokens.rare("dog", count=0)
    with pytest.raises(BaseModelError, match="There is no base model"):
        tokens.rare("dog", base="nowhere")
    assert calls == [rare_tokens]


def refuse():
    raise InvalidInputError("Not like this.")


def die():
    import os

    os._exit(3)


@pytest.mark.slow
def test_work_apart_hands_back_answers_and_errors_and_a_death_is_a_sentence():
    assert run_in_subprocess(max, 2, 5) == 5
    with pytest.raises(InvalidInputError, match="Not like this"):
        run_in_subprocess(refuse)
    with pytest.raises(SamplerError, match="ended unexpectedly"):
        run_in_subprocess(die)
