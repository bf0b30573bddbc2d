"""The commands that explore, as they are typed, on a really trained project."""

import json

import pytest
from PIL import Image

from dyod_studio.cli.main import main
from tests.services.trained import train_everything

STEPS = ("--steps", "4")


@pytest.fixture(scope="module")
def storage(base_folders, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "storage"
    train_everything(folder, base_folders["starter"])
    return folder


@pytest.fixture
def ask(storage, capsys, monkeypatch):
    monkeypatch.setenv("DYOD_DEVICE", "cpu")

    def run(*arguments):
        code = main(["--storage", str(storage), "--json", *map(str, arguments)])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_a_way_is_written_as_gif_video_and_sprites(ask, tmp_path):
    files = {form: tmp_path / name for form, name in
             (("gif", "way.gif"), ("mp4", "way.mp4"), ("sprite", "way.png"))}  # fmt: skip
    options = [text for form, path in files.items() for text in (f"--{form}", str(path))]
    ends = ("--a", "seed:1", "--b", "seed:2", "--frames", "3")
    code, told = ask("interpolate", "1", *ends, *STEPS, *options, "--back")
    assert (code, len(told["images"]), told["gif"]) == (0, 3, str(files["gif"]))
    with Image.open(files["gif"]) as gif:
        assert gif.n_frames == 4
    assert files["mp4"].stat().st_size > 500
    assert len(json.loads((tmp_path / "way.json").read_text())["frames"]) == 3
    code, told = ask("interpolate", "1", *ends, "--gif", tmp_path / "way.avi")
    assert (code, told["error"]) == (2, "gif needs a file named *.gif, got 'way.avi'.")


def test_places_and_traits_are_kept_and_what_is_near_is_drawn(ask):
    code, told = ask("place", "1", "smile", "--from", "seed:3", "--move", "1=-2", *STEPS)
    assert (code, told["name"], told["settings"]["values"]) == (0, "smile", {"1": -2.0})
    _, told = ask("places", "1")
    assert [place["name"] for place in told["places"]] == ["smile"]
    _, told = ask("traits", "1", "--name", "1=mouth")
    assert told["traits"][1]["name"] == "mouth"
    _, told = ask("near", "1", "--to", "set:1", "--num", "2", "--seed", "5", *STEPS)
    assert [(image["kind"], image["seed"]) for image in told["images"]] == [
        ("near", 5),
        ("near", 6),
    ]
    assert ask("places", "1", "--forget", "1") == (0, {"places": []})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("place", "1", "x", "--move", "smile"), "--move needs RANK=VALUE, got 'smile'."),
        (("place", "1", "x", "--move", "0=far"), "--move needs RANK=VALUE, got '0=far'."),
        (("place", "1", "x", "--move", "0=99"), "Trait 0 must lie in [-10, 10], got 99."),
        (("near", "1", "--to", "seed:1", "--spread", "2"), "spread must lie in [0, 1], got 2."),
        (("places", "1", "--forget", "99"), "This project has no saved place 99."),
    ],
)
def test_what_cannot_be_done_is_one_sentence(ask, arguments, sentence):
    code, told = ask(*arguments)
    assert code == 2
    assert told["error"].startswith(sentence)
