"""A labelled set grows by folders of new pictures, and a broken off run by the rest of them."""

import hashlib
import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from dyod_studio.errors import InvalidInputError
from dyod_studio.jobs.augmentation import mask_of
from dyod_studio.models.artifacts import save_artifact
from dyod_studio.models.clip import condition_embeddings
from dyod_studio.services.augmentation.plan import AugmentSettings
from dyod_studio.services.augmentation.service import Augmenting
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.files import PNG
from dyod_studio.store.tables import PictureRow
from tests.conftest import open_base
from tests.models.parts import anl_part
from tests.services.rows import rows_in

COLOURS = {"cats": ("red", "green", "blue"), "dogs": ("yellow", "black")}
FEW = 2
"""Pictures a batch; two batches a class."""


@pytest.fixture(scope="module")
def anl(base_ref, tmp_path_factory):
    """The file of an ANL whose every module does something."""
    artifact = anl_part(open_base(base_ref))
    return save_artifact(artifact, tmp_path_factory.mktemp("parts") / "anl.safetensors"), artifact


@pytest.fixture
def put_anl(storage, shoes, anl):
    def put():
        path, artifact = anl
        with storage.files.guard(), storage.database.session() as session:
            ArtifactRepository(session).add(
                shoes.id,
                "anl",
                storage.files.add_file(path),
                base_fingerprint=artifact.base_fingerprint,
                config=artifact.config,
            )

    return put


@pytest.fixture
def data(tmp_path):
    """Two classes of plain pictures, and what else lies about in such folders."""
    for name, colours in COLOURS.items():
        (tmp_path / "set" / name).mkdir(parents=True)
        for colour in colours:
            Image.new("RGB", (40, 48), colour).save(tmp_path / "set" / name / f"{colour}.png")
    (tmp_path / "set" / "cats" / "notes.txt").write_text("not a picture")
    (tmp_path / "set" / "cats" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    (tmp_path / "set" / "read me.txt").write_text("no class")
    return tmp_path / "set"


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr("dyod_studio.jobs.augmentation.PIXELS_AT_ONCE", FEW * 32 * 32)


def asked(tmp_path, data, **values):
    values = {"per_class": 3, "out": tmp_path / "new", "num_inference_steps": 2} | values
    return AugmentSettings(data=data, **values)


def all_bytes(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def rows_of(folder):
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("small_batches")
def test_a_broken_off_run_ends_with_the_very_files_of_one_that_never_stopped(
    settings, storage, studio, put_anl, data, tmp_path
):
    put_anl()
    augmenting = Augmenting(storage, studio.projects, settings)
    seen = []
    report = augmenting.augment(
        "Shoes", asked(tmp_path, data), lambda done, total: seen.append((done, total))
    )
    assert (report.num_classes, report.num_drawn, report.num_kept) == (2, 6, 0)
    assert [name for name, _ in report.left_out] == ["cats/torn.png"]
    assert seen == [(number, 6) for number in range(7)]
    whole, rows = all_bytes(report.folder), rows_of(report.folder)
    assert [row["picture"] for row in rows] == [
        f"{name}/0000{number}.png" for name in COLOURS for number in (1, 2, 3)
    ]
    for row in rows:
        content = (report.folder / row["picture"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
        source = (data / row["source"]).read_bytes()
        assert hashlib.sha256(source).hexdigest() == row["source_sha256"]
        assert (row["class"], row["mask_rate"]) == (row["source"].split("/")[0], 0.5)
        assert row["mask"] == mask_of(row["seed"], 32, 0.5)
        assert (row["mask"]["height"], row["mask"]["width"]) == (16, 16)
        with Image.open(report.folder / row["picture"]) as image:
            assert (image.format, image.size) == ("PNG", (32, 32))
    assert {row["source"] for row in rows[:3]} == {f"cats/{c}.png" for c in COLOURS["cats"]}
    assert len({row["sha256"] for row in rows}) == len({row["seed"] for row in rows}) == 6

    class Killed(BaseException):
        """As if the power went."""

    def stop_at(number):
        def on_progress(done, total):
            if done == number:
                raise Killed

        return on_progress

    shutil.rmtree(report.folder)
    for stop in (1, 2, 4):  # in the middle of a batch, at its end, in the next class
        with pytest.raises(Killed):
            augmenting.augment("Shoes", asked(tmp_path, data), stop_at(stop))
        with (report.folder / "manifest.jsonl").open("ab") as file:
            file.write(b'{"picture": "cats/000')  # a line that was cut off
    again = augmenting.augment("Shoes", asked(tmp_path, data))
    assert (again.num_drawn, again.num_kept) == (2, 4)
    assert all_bytes(report.folder) == whole

    (report.folder / "dogs" / "00002.png").unlink()
    healed = augmenting.augment("Shoes", asked(tmp_path, data))
    assert (healed.num_drawn, healed.num_kept) == (1, 5)
    assert {row["picture"]: row for row in rows_of(report.folder)} == {
        row["picture"]: row for row in rows
    }

    more = augmenting.augment("Shoes", asked(tmp_path, data, per_class=4))
    assert (more.num_drawn, more.num_kept) == (2, 6)
    grown = all_bytes(report.folder)
    pictures = [path for path in whole if path.suffix == PNG]
    assert all(grown[path] == whole[path] for path in pictures)


def test_a_finished_folder_is_left_alone_and_loads_no_model(
    settings, storage, studio, put_anl, data, tmp_path, monkeypatch
):
    put_anl()
    augmenting = Augmenting(storage, studio.projects, settings)
    augmenting.augment("Shoes", asked(tmp_path, data, per_class=1))
    before = all_bytes(tmp_path / "new")
    monkeypatch.setattr("dyod_studio.jobs.augmentation.load_base_model", pytest.fail)
    report = augmenting.augment("Shoes", asked(tmp_path, data, per_class=1))
    assert (report.num_drawn, report.num_kept) == (0, 2)
    assert all_bytes(tmp_path / "new") == before


def test_the_project_s_own_pictures_have_the_class_of_the_folder_that_they_came_from(
    settings, storage, studio, shoes, put_anl, data, tmp_path
):
    put_anl()
    (data / "cats" / "torn.png").unlink()
    studio.projects.add_pictures("Shoes", [data])
    augmenting = Augmenting(storage, studio.projects, settings)
    report = augmenting.augment("Shoes", asked(tmp_path, None, per_class=1))
    rows = rows_of(report.folder)
    assert {row["class"] for row in rows} <= set(COLOURS)
    assert all(row["source"].startswith(f"set/{row['class']}/") for row in rows)


def test_what_is_asked_wrongly_is_one_sentence_and_writes_nothing(
    settings, storage, studio, shoes, put_anl, data, tmp_path
):
    augmenting = Augmenting(storage, studio.projects, settings)
    out = tmp_path / "new"
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InvalidInputError, match="no trained anl yet: train 'anl' first"):
        augmenting.augment("Shoes", asked(tmp_path, data))
    put_anl()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("keep me")
    before = rows_in(settings)
    wrong = [
        (asked(tmp_path, tmp_path / "nowhere"), "There is no folder"),
        (asked(tmp_path, empty), "holds no folders"),
        (asked(tmp_path, data, use=("anl", "dreambooth")), "no trained dreambooth yet"),
        (asked(tmp_path, data, use=()), "Only an anl draws after"),
        (asked(tmp_path, data, out=data / "cats" / "new"), "lies in the set itself"),
        (asked(tmp_path, data, out=tmp_path / "other"), "holds other files"),
        (asked(tmp_path, None), "has no pictures"),
    ]
    for settings_of, message in wrong:
        with pytest.raises(InvalidInputError, match=message):
            augmenting.augment("Shoes", settings_of)
        assert not out.exists()
    (data / "empty").mkdir()
    with pytest.raises(InvalidInputError, match="class 'empty' holds no pictures"):
        augmenting.augment("Shoes", asked(tmp_path, data))
    (data / "empty").rmdir()
    assert rows_in(settings) == before
    with storage.database.session() as session:
        session.add(PictureRow(project_id=shoes.id, name="loose.png", sha256="a", phash="0" * 16,
                            suffix=".png", width=9, height=9, crop_left=0, crop_top=0, crop_side=9,
                            thumbnail_sha256="b"))  # fmt: skip
    with pytest.raises(InvalidInputError, match="'loose.png' came from no folder"):
        augmenting.augment("Shoes", asked(tmp_path, None))
    assert not out.exists()
    assert (tmp_path / "other" / "mine.txt").read_text() == "keep me"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"per_class": 0}, r"per_class must lie in \[1, 100000\], got 0"),
        ({"mask_rate": 1.0}, r"mask_rate must lie in \[0, 1\), got 1"),
        ({"mask_rate": float("nan")}, "mask_rate must lie in"),
        ({"seed": -1}, "seed must lie in"),
        ({"use": ("magic",)}, "use must name parts among"),
        ({"strength": 2.0}, "strength must lie in"),
        ({"num_inference_steps": 0}, "num_inference_steps must lie in"),
    ],
)
def test_settings_out_of_range_are_named(tmp_path, values, message):
    with pytest.raises(InvalidInputError, match=message):
        asked(tmp_path, tmp_path, **values)


def test_a_folder_is_gone_on_with_only_as_it_was_begun(
    settings, storage, studio, put_anl, data, tmp_path
):
    put_anl()
    augmenting = Augmenting(storage, studio.projects, settings)
    augmenting.augment("Shoes", asked(tmp_path, data, per_class=1))
    before = all_bytes(tmp_path / "new")
    with pytest.raises(InvalidInputError, match="was begun with mask_rate 0.5, not 0.3"):
        augmenting.augment("Shoes", asked(tmp_path, data, per_class=1, mask_rate=0.3))
    Image.new("RGB", (40, 48), "white").save(data / "dogs" / "white.png")
    with pytest.raises(InvalidInputError, match="class 'dogs' have changed since"):
        augmenting.augment("Shoes", asked(tmp_path, data, per_class=1))
    assert all_bytes(tmp_path / "new") == before


def test_the_mask_is_the_one_that_sampling_draws_for_the_seed():
    seen = []

    def embed_images(images):
        seen.append(images)
        return torch.zeros(len(images), 4)

    clip = SimpleNamespace(side_px=40, embed_images=embed_images)
    white = Image.new("RGB", (50, 50), "white")
    condition_embeddings(clip, [7, 8], images=[white], mask_rate=0.3)
    for seed, image in zip((7, 8), seen[0], strict=True):
        told = mask_of(seed, 40, 0.3)
        assert (told["height"], told["width"], told["side"]) == (12, 12, 40)
        expected = torch.ones(3, 40, 40)
        rows, columns = (slice(told[a], told[a] + 12) for a in ("top", "left"))
        expected[:, rows, columns] = 0
        torch.testing.assert_close(image, expected)
    assert mask_of(7, 40, 0.0)["height"] == 0
