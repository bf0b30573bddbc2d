"""Copies of pictures with clear names that never overwrite other pictures."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from dyod_studio.cli.output import copy_out, describe
from dyod_studio.cli.session import check_writable
from dyod_studio.errors import InvalidInputError
from dyod_studio.services.views import GenerationView


def picture(folder: Path, *, seed: int, colour: str) -> GenerationView:
    file = folder / f"{colour}.png"
    Image.new("RGB", (8, 8), colour).save(file)
    return GenerationView(
        id=seed,
        kind="sample",
        file=file,
        thumbnail=file,
        seed=seed,
        sha256=colour,
        parameters={"t0": 0.5, "seed": 99},
        width=8,
        height=8,
        created_at=datetime.now(UTC),
        is_favorite=False,
    )


def test_copies_carry_number_and_seed(tmp_path: Path):
    views = [picture(tmp_path, seed=7, colour="red"), picture(tmp_path, seed=8, colour="blue")]
    paths = copy_out(views, tmp_path / "new" / "out")
    assert [path.name for path in paths] == ["0001_seed7.png", "0002_seed8.png"]
    assert paths[1].read_bytes() == views[1].file.read_bytes()


def test_the_same_command_twice_leaves_the_same_files(tmp_path: Path):
    views = [picture(tmp_path, seed=7, colour="red")]
    copy_out(views, tmp_path / "out")
    assert copy_out(views, tmp_path / "out") == [tmp_path / "out" / "0001_seed7.png"]
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_other_pictures_are_numbered_after_those_that_are_there(tmp_path: Path):
    red, blue = (picture(tmp_path, seed=7, colour=colour) for colour in ("red", "blue"))
    (first,) = copy_out([red], tmp_path / "out")
    (second,) = copy_out([blue], tmp_path / "out")
    assert (first.name, second.name) == ("0001_seed7.png", "0002_seed7.png")
    assert first.read_bytes() == red.file.read_bytes()


def test_a_picture_is_described_by_its_own_seed_and_all_parameters(tmp_path: Path):
    view = picture(tmp_path, seed=7, colour="red")
    description = describe(view, Path("x.png"))
    assert description["file"] == Path("x.png")
    assert (description["seed"], description["sha256"], description["t0"]) == (7, "red", 0.5)


def test_a_file_cannot_be_the_folder_of_the_pictures(tmp_path: Path):
    file = tmp_path / "notes.txt"
    file.write_text("keep me")
    for path in (file, file / "below"):
        with pytest.raises(InvalidInputError, match="--out needs a folder, but .*notes.txt"):
            check_writable(path, option="--out")
    check_writable(tmp_path / "made" / "later", option="--out")
    assert not (tmp_path / "made").exists()
