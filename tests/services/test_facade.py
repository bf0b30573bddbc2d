"""The facade on real SQLite and real files; no training, so no torch is needed here."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.requests.sampling import (
    InterpolationRequest,
    SampleRequest,
    TraversalRequest,
)
from dyod_studio.services.projects import token_for
from dyod_studio.store.artifacts import ArtifactRepository
from tests.services.rows import rows_in


def add_artifact(storage, project, kind, tensors, config):
    path = storage.temporary_dir / f"{kind}.safetensors"
    save_file(tensors, path, metadata={"dyod.config": json.dumps(config)})
    with storage.files.guard(), storage.database.session() as session:
        stored = storage.files.add_file(path)
        ArtifactRepository(session).add(
            project.id, kind, stored, base_fingerprint="f", config=config
        )
    return stored


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("Toy Heads", "<toy-heads>"),
        ("Élan №5 ", "<elan-no5>"),
        ("椅子", "<set>"),
        ("a" * 80, f"<{'a' * 40}>"),
    ],
)
def test_a_project_gets_a_word_that_a_tokenizer_can_take(name, token):
    assert token_for(name) == token


def test_a_project_is_found_by_name_and_by_number(studio, shoes):
    assert studio.projects.get("Shoes") == studio.projects.get(shoes.id) == shoes
    assert studio.projects.get(str(shoes.id)) == shoes
    with pytest.raises(NotFoundError, match="no project"):
        studio.projects.get("Boots")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "1 to 80 characters, got 0"),
        ("   ", "1 to 80 characters, got 0"),
        ("x" * 81, "1 to 80 characters, got 81"),
        ("42", "must not be a bare number, got '42'"),
        ("Shoes", "Shoes"),
    ],
)
def test_a_wrong_name_makes_no_project(studio, settings, shoes, name, message):
    before = rows_in(settings)
    with pytest.raises(InvalidInputError, match=message):
        studio.projects.create(name)
    assert rows_in(settings) == before


def test_a_base_given_by_a_relative_path_is_found_from_anywhere(studio, base_ref, monkeypatch):
    monkeypatch.chdir(Path(base_ref).parent)
    made = studio.projects.create("Relative", base=Path(base_ref).name)
    assert made.base == base_ref


def test_the_example_pictures_are_all_taken(studio, shoes):
    report = studio.projects.add_examples(shoes.id)
    assert report.accepted >= 40
    assert report.rejected == ()
    assert report.duplicates == ()
    assert studio.projects.get(shoes.id).num_pictures == report.accepted
    page = studio.projects.pictures(shoes.id, offset=2, limit=3)
    assert len(page) == 3
    with Image.open(page[0].thumbnail) as thumbnail:
        assert thumbnail.format == "WEBP"


def test_a_path_that_does_not_exist_adds_nothing(studio, settings, shoes, tmp_path):
    Image.effect_noise((64, 64), 60).save(tmp_path / "good.png")
    before = rows_in(settings)
    with pytest.raises(InvalidInputError, match="There is no file or folder .*gone.png"):
        studio.projects.add_pictures(shoes.id, [tmp_path / "good.png", tmp_path / "gone.png"])
    assert rows_in(settings) == before


def test_the_good_pictures_are_kept_beside_the_bad(studio, shoes, tmp_path):
    folder = tmp_path / "ein Ordner – ö"
    folder.mkdir()
    for index in range(3):
        noise = np.random.default_rng(index).integers(0, 255, (70, 90, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"gut {index}.png")
    (folder / "text.png").write_text("I am no picture")
    report = studio.projects.add_pictures(shoes.id, [folder])
    assert report.accepted == 3
    (rejected,) = report.rejected
    assert rejected.file.endswith("text.png")
    assert "not an image" in rejected.reason


def test_training_needs_pictures_a_known_method_and_sound_settings(studio, settings, shoes):
    before = rows_in(settings)
    for method, values, message in (
        ("inversion", {}, "'Shoes' has no pictures yet"),
        ("magic", {}, "There is no method 'magic'"),
        ("vae", {"steps": "many"}, "steps: .*got 'many'"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            studio.training.start(shoes.id, method, values)
    assert rows_in(settings) == before


def test_a_queued_job_can_be_seen_and_cancelled(studio, shoes):
    studio.projects.add_examples(shoes.id)
    job = studio.training.start(shoes.id, "inversion", {"steps": 7})
    assert (job.state, job.step, job.num_steps, job.kind) == ("queued", 0, 7, "inversion")
    assert studio.training.jobs(shoes.id) == [studio.training.job(job.id)]
    assert studio.training.cancel(job.id).state == "cancelled"
    assert studio.training.wait(job.id, lambda job: None).is_final
    assert studio.training.losses(job.id) == []


def test_every_setting_of_a_method_can_be_drawn_as_a_form(studio):
    for method in studio.training.methods():
        names = [field.name for field in method.fields]
        assert {"steps", "seed", "batch_size", "learning_rate"} <= set(names)
        assert {"checkpoint_every", "preview_every"} <= set(names)
        assert all(field.help.endswith(".") and field.title for field in method.fields)
    fields = [field for method in studio.training.methods() for field in method.fields]
    (space,) = [field for field in fields if field.name == "space"]
    assert (space.kind, space.choices) == ("choice", ("latents", "pixels"))


GONE = {"image": Path("gone.png")}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SampleRequest(kind="prompt", t0=1.5), r"t0 must lie in \[0, 1\], got 1.5"),
        (lambda: SampleRequest(kind="dream"), "kind must be one of prompt, distribution, image"),
        (lambda: SampleRequest(kind="image").check_inputs(), "Give a sketch or picture"),
        (
            lambda: SampleRequest(kind="prompt", inputs={"image": Path("x.png")}).check_inputs(),
            "takes no picture",
        ),
        (lambda: SampleRequest(kind="prompt", num_images=0), r"num_images must lie in \[1, 64\]"),
        (lambda: SampleRequest(kind="prompt", seed=-1), "seed must lie in"),
        (lambda: InterpolationRequest(a="seed:x", b="seed:1"), "a must be a picture or seed:N"),
        (lambda: TraversalRequest(coordinate=-1), "coordinate must be 0 or more, got -1"),
        (lambda: TraversalRequest(coordinate=0, span=0), r"span must lie in \[0.01, 10\]"),
    ],
)
def test_a_wrong_sampling_setting_is_one_sentence(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make()


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        (SampleRequest(kind="distribution"), "'Shoes' has no trained vae yet"),
        (SampleRequest(kind="prompt", t0=0.5), "has t0 = 1, got 0.5"),
        (
            SampleRequest(kind="image", inputs={"image": Path("gone.png")}),
            "There is no picture 'gone.png'",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_a_row_is_made(
    studio, settings, shoes, settings_, message
):
    before = rows_in(settings)
    with pytest.raises(InvalidInputError, match=message):
        studio.sampling.sample(shoes.id, settings_)
    assert rows_in(settings) == before


def test_a_sketch_that_is_no_picture_is_refused_by_name(studio, settings, shoes, tmp_path):
    path = tmp_path / "sketch.png"
    path.write_text("no picture")
    before = rows_in(settings)
    with pytest.raises(InvalidInputError, match="sketch.png is not an image"):
        studio.sampling.sample(shoes.id, SampleRequest(kind="image", inputs={"image": path}))
    assert rows_in(settings) == before


def test_the_coordinate_that_carries_most_comes_first(studio, storage, shoes):
    kl = np.array([0.1, 2.0, 0.0, 1.5], np.float32)
    add_artifact(storage, shoes, "vae", {"kl": kl}, {"space": "latents"})
    found = studio.sampling.coordinates(shoes.id)
    assert [(c.rank, c.index) for c in found] == [(0, 1), (1, 3), (2, 0), (3, 2)]
    assert found[0].kl == pytest.approx(2.0)
    with pytest.raises(InvalidInputError, match=r"coordinate must lie in \[0, 3\], got 4"):
        studio.sampling.traverse(shoes.id, TraversalRequest(coordinate=4))


def test_the_inversion_is_exported_in_both_layouts(studio, storage, shoes, tmp_path):
    vectors = np.ones((2, 24), np.float32)
    add_artifact(storage, shoes, "inversion", {"emb_params": vectors}, {"token": "<shoes>"})
    report = studio.exports.export(shoes.id, "artifacts", tmp_path / "shoes.zip")
    with zipfile.ZipFile(report.file) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "out")
    assert names == ["shoes.safetensors", "diffusers/shoes/learned_embeds.safetensors"]
    assert report.num_files == 2
    from safetensors.numpy import load_file

    assert list(load_file(tmp_path / "out" / names[0])) == ["emb_params"]
    loaded = load_file(tmp_path / "out" / names[1])
    assert np.array_equal(loaded["<shoes>"], vectors)


def test_a_whole_project_leaves_with_its_pictures_as_they_were_given(studio, shoes, tmp_path):
    source = tmp_path / "ä b.png"
    Image.effect_noise((80, 60), 60).convert("RGB").save(source)
    studio.projects.add_pictures(shoes.id, [source])
    report = studio.exports.export("Shoes", "project", tmp_path / "deep" / "all.zip")
    with zipfile.ZipFile(report.file) as archive:
        facts = json.loads(archive.read("project.json"))
        (row,) = facts["pictures"]
        assert archive.read(row["file"]) == source.read_bytes()
    assert (facts["name"], facts["token"], row["name"]) == ("Shoes", "<shoes>", "ä b.png")
    assert row["crop"] == {"left": 10, "top": 0, "side": 60} or row["crop"]["side"] == 60


@pytest.mark.parametrize(
    ("what", "name", "message"),
    [
        ("gallery", "x.zip", "nothing of gallery to export"),
        ("artifacts", "x.zip", "nothing of artifacts to export"),
        ("everything", "x.zip", "what must be one of gallery, artifacts, dataset, project"),
        ("gallery", "x.tar", "name it \\*.zip, got 'x.tar'"),
    ],
)
def test_an_export_that_cannot_be_made_leaves_no_file(studio, shoes, tmp_path, what, name, message):
    with pytest.raises(InvalidInputError, match=message):
        studio.exports.export(shoes.id, what, tmp_path / "out" / name)
    assert not (tmp_path / "out").exists()


def test_a_deleted_project_leaves_no_file_behind(studio, storage, shoes):
    studio.projects.add_examples(shoes.id)
    files = storage.root / "files"
    assert any(path.is_file() for path in files.rglob("*"))
    studio.projects.delete("Shoes")
    assert studio.projects.all() == []
    assert not [path for path in files.rglob("*.*") if path.suffix and path.is_file()]
