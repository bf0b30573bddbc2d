"""A whole project as one file: it comes back as it was, or not at all."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.references import fingerprint_of
from dyod_studio.requests.sampling import PointRequest
from dyod_studio.services.exchange.project_archive import check_room
from dyod_studio.services.explore.views import point_from_json, point_to_json
from dyod_studio.services.gallery.views import GalleryFilter
from dyod_studio.settings import Settings
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.bookmarks import BookmarkRepository, StoredImage
from dyod_studio.store.files import SAFETENSORS
from dyod_studio.store.projects import PictureRepository
from dyod_studio.store.requests import GenerationRepository
from dyod_studio.store.storage import open_storage
from tests.services.pictures_made import a_picture, make


@pytest.fixture
def part(storage, shoes, base_ref):
    """An inversion as training leaves it, as far as it is read without torch."""
    header = {
        "dyod.format": "inversion", "dyod.version": "1", "dyod.config": '{"token": "<shoes>"}',
        "dyod.base_fingerprint": fingerprint_of(Path(base_ref)),
    }  # fmt: skip
    data = save({"emb_params": np.ones((2, 24), np.float32)}, metadata=header)
    with storage.files.guard(), storage.database.session() as session:
        stored = storage.files.add_bytes(data, ".safetensors")
        ArtifactRepository(session).add(
            shoes.id, "inversion", stored, base_fingerprint=header["dyod.base_fingerprint"],
            config={"token": "<shoes>"},
        )  # fmt: skip
    return stored


@pytest.fixture
def packed(studio, storage, shoes, part, tmp_path):
    """The file of a project with everything in it: crop, caption, bin, favourite, sketch."""
    Image.effect_noise((90, 60), 60).convert("RGB").save(tmp_path / "ä b.jpg")
    a_picture(3).save(tmp_path / "c.png")
    studio.projects.add_pictures(shoes.id, [tmp_path / "ä b.jpg", tmp_path / "c.png"])
    with storage.database.session() as session:
        pictures = PictureRepository(session)
        first, second = pictures.all(shoes.id)
        pictures.change(first.id, crop_left=7, crop_side=50, caption="ein Schuh, rot")
        pictures.change(second.id, is_left_out=True)
    parts = {"inversion": part.sha256}
    made = make(
        storage, shoes.id, "image", num_images=3, artifacts=parts,
        inputs={"image": tmp_path / "ä b.jpg"}, t0=0.3,
    )  # fmt: skip
    studio.gallery.favorite(made[1])
    studio.gallery.delete(shoes.id, [made[2]])
    report = studio.exports.export(shoes.id, "project", tmp_path / "shoes.zip")
    return report.file


@pytest.fixture
def other(tmp_path, base_ref):
    """A second machine: a studio with a storage of its own."""
    from dyod_studio.bootstrap import build_studio

    settings = Settings(storage=tmp_path / "other", base=base_ref, device="cpu")
    with open_storage(settings.storage, settings.resolved_database_url, migrate=True) as storage:
        yield build_studio(settings, storage, pytest.fail), storage


def everything(storage) -> tuple[list[str], list[Path]]:
    with storage.database.session() as session:
        rows = list(session.connection().connection.driver_connection.iterdump())
    return rows, sorted(path for path in storage.root.rglob("*") if path.suffix in KEPT)


KEPT = {".png", ".jpg", ".webp", ".safetensors"}


def test_a_project_comes_back_on_another_machine_as_it_was(studio, packed, other, base_ref, shoes):
    there, storage = other
    told: list[tuple[int, int]] = []
    there.projects.create("Before", base=base_ref)
    brought = there.imports.import_project(
        packed, base=base_ref, on_progress=lambda done, total: told.append((done, total))
    )
    assert (brought.num_pictures, brought.num_parts, brought.num_images) == (2, 1, 2)
    assert told[-1] == (6, 6)
    project = brought.project
    assert (project.name, project.token, project.base) == ("Shoes", "<shoes>", base_ref)
    assert (project.num_pictures, project.artifacts) == (1, ("inversion",))
    with storage.database.session() as session:
        (picture,) = PictureRepository(session).all(project.id)
        (left_out,) = PictureRepository(session).left_out(project.id)
    assert (picture.name, picture.caption) == ("ä b.jpg", "ein Schuh, rot")
    assert (picture.crop_left, picture.crop_side, left_out.name) == (7, 50, "c.png")
    assert storage.files.path(picture.sha256, ".jpg").stat().st_size > 0
    views = there.gallery.page(project.id)
    assert [(view.seed, view.is_favorite) for view in views] == [(8, True), (7, False)]
    origin = studio.gallery.page(shoes.id)
    assert [view.sha256 for view in views] == [view.sha256 for view in origin]
    assert [view.created_at for view in views] == [view.created_at for view in origin]
    again = there.gallery.provenance(views[0].id)
    assert again.request.to_json() == {
        **studio.gallery.provenance(origin[0].id).request.to_json(), "base": base_ref,
    }  # fmt: skip
    assert again.request.inputs["image"].suffix == ".jpg"
    assert again.notes == ()
    assert there.gallery.count(project.id, GalleryFilter(text="<shoes>")) == 2


@pytest.fixture
def placed(studio, storage, shoes, base_ref, tmp_path):
    """The file of a project with a VAE, a named trait, and places of every kind of origin."""
    header = {
        "dyod.format": "vae", "dyod.version": "1", "dyod.config": "{}",
        "dyod.base_fingerprint": fingerprint_of(Path(base_ref)),
    }  # fmt: skip
    a_picture(3).save(tmp_path / "c.png")
    studio.projects.add_pictures(shoes.id, [tmp_path / "c.png"])
    (made,) = make(storage, shoes.id)
    with storage.files.guard(), storage.database.session() as session:
        vae = storage.files.add_bytes(
            save({"x": np.ones(1, np.float32)}, metadata=header), SAFETENSORS
        )
        ArtifactRepository(session).add(
            shoes.id, "vae", vae, base_fingerprint=header["dyod.base_fingerprint"], config={}
        )
        (picture,) = PictureRepository(session).all(shoes.id)
        (image,) = GenerationRepository(session).of_ids(shoes.id, [made])
        kept = StoredImage(image.sha256, image.thumbnail_sha256)
        for name, origin in (
            ("middle", "average"), ("a seed", "seed:5"),
            ("of the set", f"set:{picture.id}"), ("made", f"made:{made}"), ("gone", "made:999"),
        ):  # fmt: skip
            said = point_to_json(PointRequest.at(origin, {0: 1.5}, seed=9))
            BookmarkRepository(session).add(shoes.id, name, vae.sha256, said, kept)
        BookmarkRepository(session).name_trait(shoes.id, vae.sha256, 2, "Heel")
    return studio.exports.export(shoes.id, "project", tmp_path / "shoes.zip").file


def test_places_and_names_of_traits_come_along_and_find_their_pictures(placed, other, base_ref):
    there, storage = other
    there.projects.create("Before", base=base_ref)
    a_picture(9).save(placed.with_name("d.png"))
    there.projects.add_pictures("Before", [placed.with_name("d.png")])
    project = there.imports.import_project(placed, base=base_ref).project
    with storage.database.session() as session:
        (vae,) = ArtifactRepository(session).of_project(project.id)
        (picture,) = PictureRepository(session).all(project.id)
        (image,) = GenerationRepository(session).ids(project.id)
        assert BookmarkRepository(session).trait_names(project.id, vae.sha256) == {2: "Heel"}
        rows = {row.name: row for row in BookmarkRepository(session).all(project.id)}
    said = {name: point_from_json(row.settings) for name, row in rows.items()}
    assert {name: place.origin for name, place in said.items()} == {
        "middle": "average",
        "a seed": "seed:5",
        "of the set": f"set:{picture.id}",
        "made": f"made:{image}",
    }
    assert all((place.moved, place.seed) == ({0: 1.5}, 9) for place in said.values())
    assert all(row.vae_sha256 == vae.sha256 for row in rows.values())
    assert all(storage.files.path(row.sha256, ".png").exists() for row in rows.values())


def test_a_project_that_is_here_already_comes_beside_itself(studio, packed, storage):
    before = everything(storage)[1]
    assert studio.imports.import_project(packed).project.name == "Shoes 2"
    assert studio.imports.import_project(packed, name="Mine").project.name == "Mine"
    assert everything(storage)[1] == before
    for name in ("Mine", "", "42", "x" * 99):
        with pytest.raises(InvalidInputError, match="needs a name of its own"):
            studio.imports.import_project(packed, name=name)


def test_a_base_that_is_not_here_is_asked_for(packed, other):
    there, _ = other
    with pytest.raises(InvalidInputError, match="base model 'tiny', which is not on this machine"):
        there.imports.import_project(packed)
    with pytest.raises(InvalidInputError, match="inversion in this file was trained on another"):
        there.imports.import_project(packed, base="starter")


def rewritten(packed: Path, change, *, replace: dict[str, bytes] | None = None) -> Path:
    """The project file with a changed index, and files in place of those of the same name."""
    out = packed.with_name("changed.zip")
    with zipfile.ZipFile(packed) as archive, zipfile.ZipFile(out, "w") as changed:
        for info in archive.infolist():
            data = archive.read(info)
            if info.filename == "project.json":
                index = json.loads(data)
                change(index)
                data = json.dumps(index).encode()
            changed.writestr(info.filename, (replace or {}).get(info.filename, data))
    return out


def put(path: str, value):
    """A change of the index: ``requests.0.kind`` -> value."""

    def change(index):
        *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for part in way:
            index = index[part]
        index[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format", "zip", "is no project of this studio"),
        ("version", 2, r"another release \(version 2\)"),
        ("pictures.0.file", "../../../etc/passwd", "pictures.0.file"),
        ("pictures.0.file", "pictures/../../x", "pictures.0.file"),
        ("pictures.0.file", "/etc/passwd", "pictures.0.file"),
        ("pictures.0.file", "pictures/gone.png", "incomplete: it has no pictures/gone.png"),
        ("pictures.0.sha256", "0" * 64, "was changed or damaged: pictures/"),
        ("artifacts.0.sha256", "0" * 64, "was changed or damaged: artifacts/"),
        ("pictures.0.crop.side", -1, "pictures.0.crop.side"),
        ("pictures.0.sharpness", "NaN", "pictures.0.sharpness"),
        ("requests.0.kind", "magic", "kind 'magic' cannot be made"),
        ("requests.0.images.0.seed", -4, "images.0.seed"),
        ("requests.0.images.0.parameters.t0", 7, "cannot be used: t0"),
        ("requests.0.images.0.parameters.num_images", 10**9, "num_images must lie in"),
        ("requests.0.images.0.parameters.more", "x" * 70_000, "says too much of itself"),
        ("requests.0.images.0.created_at", "yesterday", "created_at"),
        ("requests.0.inputs.0.name", "../x", "inputs.0.name"),
        ("name", "x" * 5000, "name must be at most"),
        ("pictures", "many", "pictures: "),
    ],
)
def test_an_index_that_was_tampered_with_brings_nothing_in(
    studio, storage, packed, path, value, message
):
    before = everything(storage)
    with pytest.raises(InvalidInputError, match=message):
        studio.imports.import_project(rewritten(packed, put(path, value)))
    assert everything(storage) == before
    assert list(storage.temporary_dir.iterdir()) == []


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("settings", {"origin": "average"}, "is damaged"),
        ("settings", {"origin": "average", "use": None, "values": {"0": 99}}, "Trait 0 must lie"),
        ("settings", {"origin": f"set:{'0' * 64}", "use": None, "values": {}}, "does not bring"),
        ("name", "a seed", "a name is used once"),
    ],
)
def test_a_place_that_cannot_be_brings_nothing_in(studio, storage, placed, key, value, message):
    before = everything(storage)
    with zipfile.ZipFile(placed) as archive:
        places = json.loads(archive.read("project.json"))["places"]
    (number,) = (i for i, place in enumerate(places) if place["name"] == "middle")
    with pytest.raises(InvalidInputError, match=message):
        studio.imports.import_project(rewritten(placed, put(f"places.{number}.{key}", value)))
    assert everything(storage) == before


def a_member(data: bytes, kind: str, name: str):
    """The index with one file of a kind put in its place, its hash right."""

    def change(index):
        rows = {
            "pictures": index["pictures"],
            "artifacts": index["artifacts"],
            "gallery": index["requests"][0]["images"],
        }
        rows[kind][0].update(file=name, sha256=hashlib.sha256(data).hexdigest())

    return change


def png_bomb() -> bytes:
    file = io.BytesIO()
    Image.new("L", (20_000, 20_000)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("pictures", b"no picture", "is not an image"),
        ("pictures", png_bomb(), "megapixels"),
        ("gallery", b"\x89PNG\r\n\x1a\nbroken", "is damaged|is cut off"),
        ("artifacts", b"\x80\x04pickle", "is no trained part"),
        ("artifacts", save({"x": np.ones(3)}), "is no trained part"),
        ("artifacts", save({"x": np.ones(3)}, metadata={
            "dyod.format": "../x", "dyod.config": "{}", "dyod.base_fingerprint": "f",
        }), "is no trained part"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_what_it_is_said_to_be_brings_nothing_in(
    studio, storage, packed, kind, data, message
):
    before = everything(storage)
    with zipfile.ZipFile(packed) as archive:
        name = next(name for name in archive.namelist() if name.startswith(kind))
    changed = rewritten(packed, a_member(data, kind, name), replace={name: data})
    with pytest.raises(InvalidInputError, match=message):
        studio.imports.import_project(changed)
    assert everything(storage) == before


def test_a_zip_that_is_no_project_or_a_bomb_is_one_sentence(studio, tmp_path):
    def refused(data: bytes, message: str) -> None:
        (tmp_path / "x.zip").write_bytes(data)
        with pytest.raises(InvalidInputError, match=message):
            studio.imports.import_project(tmp_path / "x.zip")

    def zipped(text: bytes, how: int = zipfile.ZIP_DEFLATED) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", how) as archive:
            archive.writestr("project.json", text)
        return file.getvalue()

    refused(b"", "no readable ZIP")
    refused(b"PK\5\6" + b"\xff" * 18, "no readable ZIP")
    refused(zipped(b"{}")[:-30], "no readable ZIP")
    refused(zipped(b"[" * 100_000), "is damaged at project.json")
    refused(zipped(b"[]"), "is no project of this studio")
    refused(zipped(b" " * 20_000_000), r"unpacks to 1,0\d\d times its size")
    refused(zipped(b"{}", zipfile.ZIP_LZMA), "packed in a way this studio does not write")
    with pytest.raises(InvalidInputError, match="There is no file"):
        studio.imports.import_project(tmp_path / "gone.zip")
    with pytest.raises(InvalidInputError, match="make room first"):
        check_room(10**18, tmp_path)
