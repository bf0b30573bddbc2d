"""What is asked wrongly ends in one sentence, exit code 2, and nothing changed."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dyod_studio.cli.session import parse_assignments
from dyod_studio.errors import InvalidInputError
from tests.cli.conftest import CommandLine

Listing = tuple[dict[str, list[tuple]], list[str]]


@pytest.fixture
def project(cli: CommandLine, tiny_base: Path, heads: Path) -> str:
    """A project with pictures, so that there is something that could change."""
    assert cli("project", "create", "heads", "--base", tiny_base).code == 0
    assert cli("dataset", "add", "heads", heads).code == 0
    return "heads"


def everything_in(storage: Path) -> Listing:
    """All rows of the database and all files of the storage folder."""
    database = sqlite3.connect(storage / "studio.db")
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master") if name]
    kept = [name for name in tables if not name.startswith(("sqlite_", "ix_", "uq_"))]
    rows = {name: database.execute(f'SELECT * FROM "{name}"').fetchall() for name in kept}
    database.close()
    passing = ("studio.db-wal", "studio.db-shm")
    files = sorted(str(p) for p in storage.rglob("*") if p.is_file() and p.name not in passing)
    return rows, files


def folder_of_pickles(folder: Path) -> Path:
    """A base model whose weights are all pickled."""
    for part in ("unet", "vae", "text_encoder"):
        (folder / part).mkdir(parents=True)
        torch.save({"weight": torch.zeros(1)}, folder / part / "diffusion_pytorch_model.bin")
        (folder / part / "config.json").write_text("{}")
    index = '{"_class_name": "StableDiffusionPipeline"}'
    (folder / "model_index.json").write_text(index)
    return folder


WRONG: dict[str, tuple[object, ...]] = {
    "an unknown project": ("train", "nobody", "inversion"),
    "a project number that is not there": ("gallery", 99),
    "an unknown method": ("train", "heads", "dreamboat"),
    "an unknown setting": ("train", "heads", "inversion", "--set", "stepps=3"),
    "a setting without a value": ("train", "heads", "inversion", "--set", "steps"),
    "a number of steps that is no number": ("train", "heads", "vae", "--set", "steps=many"),
    "no steps": ("train", "heads", "vae", "--set", "steps=0"),
    "t0 above 1": ("sample", "heads", "--from", "prompt", "--t0", 1.5),
    "t0 that is no number": ("sample", "heads", "--from", "prompt", "--t0", "half"),
    "t0 that is nan": ("sample", "heads", "--from", "prompt", "--t0", "nan"),
    "no pictures to make": ("sample", "heads", "--from", "prompt", "--num", 0),
    "an unknown start": ("sample", "heads", "--from", "thin air"),
    "a start from a picture without one": ("sample", "heads", "--from", "image"),
    "a missing image": ("sample", "heads", "--from", "image", "--image", "/nowhere/x.png"),
    "a vae that is not trained": ("sample", "heads", "--from", "distribution"),
    "a part that is not trained": ("sample", "heads", "--from", "prompt", "--use", "dreambooth"),
    "a part that there is not": ("sample", "heads", "--from", "prompt", "--use", "magic"),
    "a strength above 1": ("sample", "heads", "--from", "prompt", "--strength", 1.5),
    "a mask over all": ("sample", "heads", "--from", "prompt", "--mask-rate", 1),
    "a condition that nothing hears": ("sample", "heads", "--from", "prompt", "--condition", "x"),
    "a part to interpolate with": (
        *("interpolate", "heads", "--a", "seed:1", "--b", "seed:2", "--use", "anl"),
    ),
    "a subject of no class": ("train", "heads", "dreambooth"),
    "an end that is no seed": ("interpolate", "heads", "--a", "seed:x", "--b", "seed:1"),
    "a coordinate below 0": ("traverse", "heads", "--coordinate", -1),
    "a missing option": ("traverse", "heads"),
    "an unknown job": ("job", "show", 77),
    "a job to cancel that is not there": ("job", "cancel", 77),
    "a project name that is taken": ("project", "create", "heads"),
    "a project without a name": ("project", "create", "  "),
    "a base that does not exist": ("project", "create", "new", "--base", "/nowhere/base"),
    "a deletion of what is not there": ("project", "delete", "nobody"),
    "an export to a folder that is a file": ("export", "heads", "--what", "moon", "--out", "x"),
    "a folder of pictures that is missing": ("dataset", "add", "heads", "/nowhere"),
    "an unknown command": ("paint",),
    "a group without its command": ("project",),
}


@pytest.mark.parametrize("arguments", WRONG.values(), ids=WRONG.keys())
def test_nothing_changes(
    cli: CommandLine, project: str, tmp_path: Path, arguments: tuple[object, ...]
):
    before = everything_in(tmp_path / "storage")
    answer = cli(*arguments)
    assert answer.code == 2, answer.out + answer.err
    assert list(answer.document) == ["error"]
    check_sentence(answer.document["error"])
    assert everything_in(tmp_path / "storage") == before


@pytest.mark.parametrize("make", [folder_of_pickles, lambda path: path.with_suffix(".ckpt")])
def test_a_pickled_base_is_refused_with_the_way_to_convert_it(
    cli: CommandLine, project: str, tmp_path: Path, make: Callable[[Path], Path]
):
    base = make(tmp_path / "pickled")
    if not base.exists():
        torch.save({"state_dict": {}}, base)
    before = everything_in(tmp_path / "storage")
    answer = cli("project", "create", "new", "--base", base)
    assert answer.code == 2
    assert "safetensors" in answer.document["error"]
    assert everything_in(tmp_path / "storage") == before


def test_people_read_the_sentence_on_standard_error(cli: CommandLine, project: str):
    answer = cli("project", "show", "nobody", as_json=False)
    assert (answer.code, answer.out) == (2, "")
    check_sentence(answer.err.strip())


def test_an_environment_variable_that_makes_no_sense_is_named(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DYOD_PORT", "harbour")
    answer = cli("project", "list")
    assert answer.code == 2
    assert answer.document["error"].startswith("DYOD_PORT: ")


def test_a_storage_folder_that_is_a_file_is_refused(cli: CommandLine, tmp_path: Path):
    (tmp_path / "storage").write_text("keep me")
    answer = cli("project", "list")
    assert answer.code == 2
    assert (tmp_path / "storage").read_text() == "keep me"


def test_a_picture_cannot_be_written_where_a_file_stands(
    cli: CommandLine, project: str, tmp_path: Path
):
    (tmp_path / "taken").write_text("keep me")
    before = everything_in(tmp_path / "storage")
    answer = cli("sample", "heads", "--from", "prompt", "--out", tmp_path / "taken")
    assert answer.code == 2
    assert "needs a folder" in answer.document["error"]
    assert everything_in(tmp_path / "storage") == before


@pytest.mark.parametrize("entry", ["steps", "=3", " =3"])
def test_an_assignment_needs_a_key_and_a_value(entry: str):
    with pytest.raises(InvalidInputError, match="--set takes key=value, got"):
        parse_assignments([entry])


def test_a_setting_given_twice_is_refused_and_a_value_may_hold_an_equals_sign():
    with pytest.raises(InvalidInputError, match="--set gives 'steps' twice"):
        parse_assignments(["steps=1", "steps=2"])
    assert parse_assignments(["word=a=b"]) == {"word": "a=b"}


def check_sentence(message: str) -> None:
    """One line, no traceback, that begins and ends like a sentence."""
    assert "\n" not in message
    assert "Traceback" not in message
    assert len(message) > 10
