"""Captions of a set on a real database: all at once, one by one, out and in again."""

import csv
import io
import json
from zipfile import ZipFile

import pytest

from dyod_studio.datasets.captions import tag_frequency
from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.services.captions import edited
from tests.datasets.pictures import photo, save

NAMES = ("red boot.png", "IMG_2034.png", "clog, green.png")


@pytest.fixture
def numbers(studio, shoes, tmp_path):
    """The ids of three pictures, two of whose files say what they show."""
    for number, name in enumerate(NAMES):
        save(photo(number + 1), tmp_path / "in" / name)
    studio.projects.add_pictures(shoes.id, [tmp_path / "in" / name for name in NAMES])
    return [line.picture_id for line in studio.captions.all(shoes.id).lines]


def told(studio, project):
    return [line.caption for line in studio.captions.all(project.id).lines]


def test_file_names_speak_until_a_person_does(studio, shoes, numbers):
    assert told(studio, shoes) == ["red boot", "", "clog green"]
    assert (
        studio.captions.write(shoes.id, {numbers[1]: " a\n sandal ", numbers[0]: NAMES[0][:8]}) == 1
    )
    view = studio.captions.all(shoes.id)
    assert [line.caption for line in view.lines] == ["red boot", "a sandal", "clog green"]
    assert [line.is_own for line in view.lines] == [False, True, False]
    assert view.tags == {"a sandal": 1, "clog green": 1, "red boot": 1}


def test_all_are_changed_at_once(studio, shoes, numbers):
    assert studio.captions.edit(shoes.id, "before", "flat icon of a") == 3
    assert told(studio, shoes) == [
        "flat icon of a red boot",
        "flat icon of a",
        "flat icon of a clog green",
    ]
    assert studio.captions.edit(shoes.id, "replace", "Boot", "shoe") == 1
    assert studio.captions.edit(shoes.id, "remove", "flat icon of a") == 3
    assert told(studio, shoes) == ["red shoe", "", "clog green"]
    assert studio.captions.edit(shoes.id, "clear") == 1
    assert told(studio, shoes) == ["red boot", "", "clog green"]


@pytest.mark.parametrize(
    ("edit", "words", "by", "result"),
    [
        ("replace", "cat", "dog", "a dog, concatenate, dog"),
        ("remove", "cat", "", "a, concatenate"),
        ("remove", "a cat", "", "concatenate, CAT"),
        ("replace", r"cat\1", "x", "a cat, concatenate, CAT"),
        ("replace", "concatenate", r"\1", r"a cat, \1, CAT"),
        ("after", "on white", "", "a cat, concatenate, CAT on white"),
        ("clear", "", "", ""),
    ],
)
def test_an_edit_means_whole_words(edit, words, by, result):
    assert edited("a cat, concatenate, CAT", edit, words, by) == result


def test_what_cannot_be_changes_nothing(studio, shoes, numbers):
    long = "x" * 495
    with pytest.raises(InvalidInputError, match=r"red boot.png would have 504\. Nothing"):
        studio.captions.edit(shoes.id, "after", long)
    with pytest.raises(InvalidInputError, match="up to 500 characters"):
        studio.captions.write(shoes.id, {numbers[1]: "fine", numbers[2]: "x" * 501})
    with pytest.raises(InvalidInputError, match="no words"):
        studio.captions.edit(shoes.id, "remove", "  ")
    with pytest.raises(InvalidInputError, match="edit must be one of"):
        studio.captions.edit(shoes.id, "upside-down", "a")
    with pytest.raises(NotFoundError, match="no picture 0"):
        studio.captions.write(shoes.id, {0: "stranger", numbers[1]: "fine"})
    assert told(studio, shoes) == ["red boot", "", "clog green"]


def test_tags_are_counted_once_a_picture():
    counts = tag_frequency(["boot, red, red", "red ,  tall   boot", "", "boot"])
    assert list(counts.items()) == [("boot", 2), ("red", 2), ("tall boot", 1)]


def test_a_set_that_leaves_comes_in_again_with_its_captions(studio, shoes, numbers, tmp_path):
    studio.captions.write(shoes.id, {numbers[1]: "Schuh, rot – „ganz“ neu"})
    out = tmp_path / "set.zip"
    assert studio.exports.export(shoes.id, "dataset", out).num_files == 8
    with ZipFile(out) as archive:
        names = archive.namelist()
        lines = [json.loads(line) for line in archive.read("metadata.jsonl").splitlines()]
        tags = list(csv.reader(io.StringIO(archive.read("tags.csv").decode())))
    assert names[:2] == ["1_shoes/0001 red boot.png", "1_shoes/0001 red boot.txt"]
    assert [line["text"] for line in lines] == told(studio, shoes)
    assert {line["file_name"] for line in lines} <= set(names)
    assert tags == [["tag", "pictures"], ["Schuh", "1"], ["clog green", "1"], ["red boot", "1"],
                    ["rot – „ganz“ neu", "1"]]  # fmt: skip
    again = studio.projects.create("Again")
    report = studio.projects.add_pictures(again.id, [out])
    assert (report.accepted, report.rejected) == (3, ())
    assert told(studio, again) == told(studio, shoes)


def test_an_empty_set_has_nothing_to_export(studio, shoes, tmp_path):
    with pytest.raises(InvalidInputError, match="nothing of dataset"):
        studio.exports.export(shoes.id, "dataset", tmp_path / "set.zip")
