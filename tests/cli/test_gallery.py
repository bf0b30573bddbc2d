"""The gallery's commands on a real storage: found, marked, binned, taken out and brought in."""

import shutil
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dyod_studio.settings import Settings
from dyod_studio.store.storage import open_storage
from tests.cli.conftest import CommandLine
from tests.services.pictures_made import make


@pytest.fixture
def made(cli: CommandLine, tiny_base: Path, tmp_path: Path) -> list[int]:
    """Two pictures from a prompt and one from the distribution, in project p."""
    cli("project", "create", "p", "--base", tiny_base)
    settings = Settings(storage=tmp_path / "storage")
    with open_storage(settings.storage, settings.resolved_database_url, migrate=True) as storage:
        ids = make(storage, 1, "prompt", t0=1.0, num_images=2, base=str(tiny_base), prompt="a cat")
        ids += make(storage, 1, base=str(tiny_base), seed=50)
    return ids


def ids_in(answer) -> list[int]:
    assert answer.code == 0, answer.out
    return [image["id"] for image in answer.document["images"]]


def test_pictures_are_found_marked_binned_and_taken_to_another_machine(cli, made, tmp_path):
    first, second, third = made
    assert ids_in(cli("gallery", "p")) == [third, second, first]
    assert ids_in(cli("gallery", "p", "--kind", "prompt")) == [second, first]
    assert ids_in(cli("gallery", "p", "--text", "CAT", "--since", "2020-01-01")) == [second, first]
    assert ids_in(cli("gallery", "p", "--until", "2020-01-01")) == []
    assert cli("favorite", second).document == {"id": second, "is_favorite": True}
    assert ids_in(cli("gallery", "p", "--favorites")) == [second]
    assert cli("favorite", second, "--off", as_json=False).out == "Picture 2 is no favourite.\n"
    assert cli("discard", "p", first, third).code == 0
    assert ids_in(cli("gallery", "p", "--bin")) == [third, first]
    assert cli("discard", "p", third, "--undo").code == 0
    zipped = cli("export", "p", "--what", "gallery", "--out", tmp_path / "g.zip",
                 "--picture", second)  # fmt: skip
    assert zipped.document["num_files"] == 4

    whole = tmp_path / "whole.zip"
    assert cli("export", "p", "--what", "project", "--out", whole).code == 0
    brought = cli("import", whole, "--name", "q")
    assert (brought.document["num_images"], brought.document["project"]["name"]) == (2, "q")
    assert len(ids_in(cli("gallery", "q"))) == 2


def test_what_a_picture_says_of_itself_is_shown_without_drawing(cli, made, tmp_path):
    (image, *_) = cli("gallery", "p").document["images"]
    shutil.copy(image["file"], tmp_path / "x.png")
    shown = cli("recall", tmp_path / "x.png", "--show").document
    assert (shown["kind"], shown["screen"], shown["source"]) == ("distribution", "explore", "dyod")
    assert (shown["parameters"]["seed"], shown["parameters"]["t0"]) == (50, 0.5)
    assert (
        "num_inference_steps  50" in cli("recall", tmp_path / "x.png", "--show", as_json=False).out
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("favorite", 99), "no generated image 99"),
        (("discard", "p", 99), "no generated image 99"),
        (("gallery", "p", "--since", "soon"), "--since needs a day such as 2026-03-01, got 'soon'"),
        (("gallery", "p", "--since", "2026-02-02", "--until", "2026-02-01"), "must not lie after"),
        (("export", "p", "--what", "project", "--picture", 1, "--out", "x.zip"), "not of project"),
        (("export", "p", "--what", "gallery", "--picture", 99, "--out", "x.zip"), "image 99"),
        (("import", "gone.zip"), "There is no file 'gone.zip'"),
        (("import", __file__), "no readable ZIP"),
        (("recall", "gone.png"), "There is no picture 'gone.png'"),
        (("recall", __file__), "no PNG picture"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(cli, made, arguments, message):
    answer = cli(*arguments)
    assert answer.code == 2
    assert message in answer.document["error"]
    assert not Path("x.zip").exists()


@pytest.mark.slow
def test_a_recalled_picture_has_the_same_pixels(cli, tiny_base, tmp_path):
    cli("project", "create", "p", "--base", tiny_base)
    drawn = cli("sample", "p", "--from", "prompt", "--prompt", "a cat", "--num", 2, "--steps", 2)
    answer = cli("recall", drawn.document["images"][1]["file"], "--out", tmp_path / "out")
    assert (answer.code, answer.document["is_identical"]) == (0, True)
    assert Path(answer.document["image"]["file"]).parent == tmp_path / "out"
    with Image.open(drawn.document["images"][1]["file"]) as image:
        told = PngInfo()
        for key, text in image.text.items():
            told.add_text(key, text)
        red, green, blue = image.getpixel((3, 3))
        image.putpixel((3, 3), (red, green, (blue + 40) % 256))
        image.save(tmp_path / "touched.png", pnginfo=told)
    touched = cli("recall", tmp_path / "touched.png", "--project", "p")
    assert (touched.code, touched.document["is_identical"]) == (1, False)
    assert touched.document["difference"] in {40, 216}
