"""The gallery on real rows and files: found, kept, binned, brought back, made again."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.services.gallery.views import GalleryFilter
from dyod_studio.store.cleaning import purge_bin
from dyod_studio.store.records import utc_now
from tests.services.pictures_made import a_picture, make
from tests.services.rows import rows_in
from tests.services.test_facade import add_artifact

TODAY = date.today()


@pytest.fixture
def sketch(tmp_path) -> Path:
    path = tmp_path / "sketch.png"
    a_picture(200).save(path)
    return path


def test_pictures_are_found_by_kind_part_day_favourite_and_text(studio, storage, shoes, sketch):
    old = add_artifact(storage, shoes, "inversion", {"emb_params": np.ones((1, 4))}, {})
    new = add_artifact(storage, shoes, "inversion", {"emb_params": np.zeros((1, 4))}, {})
    (first,) = make(storage, shoes.id, "prompt", t0=1.0, artifacts={"inversion": old.sha256})
    (second,) = make(
        storage, shoes.id, "image", inputs={"image": sketch}, seed=8,
        artifacts={"inversion": new.sha256}, prompt="a Red shoe",
    )  # fmt: skip
    lost, gone = make(storage, shoes.id, seed=20, num_images=2, artifacts={"vae": "c" * 64})
    gallery = studio.gallery
    gallery.favorite(second)

    def found(**asked):
        wanted = GalleryFilter(**asked)
        views = gallery.page(shoes.id, asked=wanted)
        assert gallery.count(shoes.id, wanted) == len(views)
        assert gallery.ids(shoes.id, wanted) == [view.id for view in views]
        return [view.id for view in views]

    assert found() == [gone, lost, second, first]
    assert found(kinds=("image",)) == found(only_favorites=True) == [second]
    assert found(text="red SHOE") == found(part=new.sha256) == [second]
    assert found(text="21") == [gone]
    assert found(since=TODAY, until=TODAY) == found()
    assert found(until=TODAY - timedelta(days=1)) == []
    assert gallery.kinds(shoes.id) == ["distribution", "image", "prompt"]
    parts = gallery.parts(shoes.id)
    assert [(part.kind, part.sha256) for part in parts] == [
        ("inversion", new.sha256), ("inversion", old.sha256), ("vae", "c" * 64),
    ]  # fmt: skip
    assert [part.trained_at is None for part in parts] == [False, False, True]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"since": TODAY, "until": TODAY - timedelta(days=1)}, "first day must not lie after"),
        ({"text": "x" * 201}, "at most 200 characters, got 201"),
    ],
)
def test_a_filter_that_cannot_be_is_one_sentence(asked, message):
    with pytest.raises(InvalidInputError, match=message):
        GalleryFilter(**asked)


@pytest.mark.parametrize("day", [date.max, date.min, date(1900, 1, 1)])
def test_a_day_beyond_the_clock_is_one_sentence(studio, shoes, day):
    with pytest.raises(InvalidInputError, match="A day must lie between 1971 and 9999"):
        studio.gallery.page(shoes.id, asked=GalleryFilter(since=day))


def test_a_deleted_picture_comes_back_until_the_bin_is_emptied(studio, storage, shoes, sketch):
    kept, binned = make(storage, shoes.id, "image", inputs={"image": sketch}, num_images=2, seed=30)
    alone = make(storage, shoes.id, "image", inputs={"image": sketch}, seed=40)
    files = sorted(path for path in (storage.root / "files").glob("??/*"))
    gallery, binned_too = studio.gallery, [binned, *alone]
    gallery.delete(shoes.id, binned_too)
    assert gallery.ids(shoes.id) == [kept]
    assert gallery.ids(shoes.id, GalleryFilter(is_deleted=True)) == [*alone, binned]
    assert sorted((storage.root / "files").glob("??/*")) == files
    gallery.restore(shoes.id, binned_too)
    assert gallery.ids(shoes.id) == [*alone, binned, kept]

    gallery.delete(shoes.id, binned_too)
    assert gallery.empty_bin() == 0
    assert purge_bin(storage, before=utc_now() + timedelta(seconds=1)) == 2
    assert gallery.ids(shoes.id) == [kept]
    assert gallery.provenance(kept).request.inputs["image"].read_bytes() == sketch.read_bytes()
    assert len(list((storage.root / "files").glob("??/*"))) == len(files) - 4
    gallery.delete(shoes.id, [kept])
    purge_bin(storage, before=utc_now() + timedelta(seconds=1))
    assert list((storage.root / "files").glob("??/*")) == []
    assert "sample_requests VALUES" not in "".join(rows_in_storage(storage))


def rows_in_storage(storage):
    with storage.database.session() as session:
        return list(session.connection().connection.driver_connection.iterdump())


def test_what_is_not_there_is_neither_marked_nor_deleted(studio, storage, settings, shoes):
    (made,) = make(storage, shoes.id)
    boots = studio.projects.create("Boots")
    before = rows_in(settings)
    with pytest.raises(NotFoundError, match="no generated image 99"):
        studio.gallery.favorite(99)
    with pytest.raises(NotFoundError, match=f"no generated image {made}"):
        studio.gallery.delete(boots.id, [made])
    with pytest.raises(InvalidInputError, match="Choose at least one picture"):
        studio.gallery.delete(shoes.id, [])
    assert rows_in(settings) == before


def test_again_gives_back_the_whole_request_and_its_pictures(studio, storage, shoes, sketch):
    style = add_artifact(storage, shoes, "inversion", {"emb_params": np.ones((1, 4))}, {})
    glimpse = sketch.with_name("ref.webp")
    a_picture(90).save(glimpse, lossless=True)
    made = make(
        storage, shoes.id, "image", seed=50, num_images=3, t0=0.35, num_inference_steps=20,
        guidance_scale=2.5, prompt="a <shoes>", artifacts={"inversion": style.sha256},
        adapter_strength=0.8, mask_rate=0.4, condition_text="red", text_weight=0.25,
        inputs={"image": sketch, "condition": glimpse, "condition_2": sketch},
    )  # fmt: skip
    again = studio.gallery.provenance(made[2])
    assert (again.screen, again.request.kind, again.project_id) == ("studio", "image", shoes.id)
    assert (again.request.seed, again.picture_seed) == (50, 52)
    wanted = {
        "num_images": 3, "t0": 0.35, "num_inference_steps": 20, "guidance_scale": 2.5,
        "prompt": "a <shoes>", "adapter_strength": 0.8, "mask_rate": 0.4,
        "condition_text": "red", "text_weight": 0.25,
    }  # fmt: skip
    assert {name: getattr(again.request, name) for name in wanted} == wanted
    assert again.request.use == ("inversion",)
    assert again.request.inputs["image"].read_bytes() == sketch.read_bytes()
    assert [path.read_bytes() for path in again.request.conditions] == [
        glimpse.read_bytes(), sketch.read_bytes(),
    ]  # fmt: skip
    assert again.notes == ()


def test_again_says_what_cannot_stand_as_it_stood(studio, storage, shoes, sketch):
    old = add_artifact(storage, shoes, "inversion", {"emb_params": np.ones((1, 4))}, {})
    add_artifact(storage, shoes, "inversion", {"emb_params": np.zeros((1, 4))}, {})
    parts = {"inversion": old.sha256, "vae": "d" * 64}
    (made,) = make(
        storage, shoes.id, "interpolation", inputs={"a": sketch}, artifacts=parts, num_frames=2,
        a="sketch.png", b="seed:3", free_noise=False, is_spherical=True, num_images=None,
    )[:1]  # fmt: skip
    again = studio.gallery.provenance(made)
    assert (again.screen, again.request.b, again.request.num_frames) == (
        "explore", "seed:3", 2,
    )  # fmt: skip
    again.request.inputs["a"].unlink()
    assert studio.gallery.provenance(made).notes == (
        "End A is no longer in this storage.",
        "The inversion it was drawn with is an earlier one; the newest draws now.",
        "The vae it was drawn with is not in this project.",
    )
