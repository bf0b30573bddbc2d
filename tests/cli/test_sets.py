"""A set on the command line: its squares and its captions."""

from pathlib import Path
from zipfile import ZipFile

import pytest
from PIL import Image

from tests.cli.conftest import CommandLine


@pytest.fixture
def shoes(cli: CommandLine, tiny_base: Path, tmp_path: Path) -> Path:
    """A project of one wide picture on white and one on no ground in particular."""
    folder = tmp_path / "in"
    folder.mkdir()
    shoe = Image.new("RGB", (120, 80), "white")
    shoe.paste((200, 30, 30), (10, 30, 110, 60))
    shoe.save(folder / "red shoe.png")
    Image.linear_gradient("L").resize((80, 120)).convert("RGB").save(folder / "IMG_1.png")
    cli("project", "create", "shoes", "--base", tiny_base)
    assert cli("dataset", "add", "shoes", folder).document["accepted"] == 2
    return folder


def test_what_is_learned_of_pictures_that_are_no_squares_is_chosen(cli: CommandLine, shoes: Path):
    answer = cli("dataset", "crop", "shoes", "--mode", "whole")
    assert answer.document == {"crop_mode": "whole", "not_square": 2}
    told = cli("dataset", "crop", "shoes", as_json=False)
    assert told.out == (
        "2 pictures that are no squares: whole where the ground is plain, cut elsewhere.\n"
    )
    assert cli("dataset", "crop", "shoes", "--mode", "round").code == 2


def test_captions_are_listed_said_changed_and_taken_out(
    cli: CommandLine, shoes: Path, tmp_path: Path
):
    lines = cli("caption", "list", "shoes").document["captions"]
    by_name = {Path(line["name"]).name: line for line in lines}
    assert by_name["red shoe.png"]["caption"] == "red shoe"
    other = by_name["IMG_1.png"]["picture_id"]
    assert cli("caption", "set", "shoes", other, "a slope").document == {"changed": 1}
    assert cli("caption", "edit", "shoes", "before", "icon of").document == {"changed": 2}
    edited = cli("caption", "edit", "shoes", "replace", "icon", "--by", "drawing")
    assert edited.document == {"changed": 2}
    tags = cli("caption", "list", "shoes").document["tags"]
    assert tags == {"drawing of a slope": 1, "drawing of red shoe": 1}
    assert cli("caption", "edit", "shoes", "before").code == 2
    out = tmp_path / "set.zip"
    assert cli("export", "shoes", "--what", "dataset", "--out", out).document["num_files"] == 6
    with ZipFile(out) as archive:
        assert archive.read("1_shoes/0002 red shoe.txt") == b"drawing of red shoe"
