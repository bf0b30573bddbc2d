"""What the first version wrote opens, is listed as it was, draws the same pictures and goes out."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dyod_studio.bootstrap import command_line_studio
from dyod_studio.cli.main import main
from dyod_studio.requests.sampling import EARLIER, SampleRequest
from dyod_studio.services.studio import Studio
from dyod_studio.settings import Settings

FIXTURES = Path(__file__).parent / "fixtures" / "version_1"
GOLDEN: dict[str, Any] = json.loads((FIXTURES / "golden.json").read_text(encoding="utf-8"))
TOLERANCE = 1.0
"""Mean difference in levels of 255 that other processors may make in rounding."""
ONE_OF_EACH = {"image": 4, "interpolation": 6, "traversal": 8, "near": 11, "place": 13}
"""Kind of request -> an image of it, to be made again by its file."""

CommandLine = Callable[..., dict[str, Any]]
NOT_IDENTICAL = 1
"""What `recall` ends with where pixels differ, as they do by rounding on another processor."""


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("version_1") / "storage"
    with zipfile.ZipFile(FIXTURES / "storage.zip") as file:
        file.extractall(folder)
    return folder


@pytest.fixture
def cli(storage: Path, capfd: pytest.CaptureFixture[str]) -> CommandLine:
    def call(*arguments: object, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
        capfd.readouterr()
        code = main(["--storage", str(storage), "--json", *map(str, arguments)])
        out, err = capfd.readouterr()
        assert code in codes, out + err
        document: dict[str, Any] = json.loads(out)
        return document

    return call


def chosen(rows: list[dict[str, Any]], like: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with those keys alone that the golden rows have."""
    return [{key: row[key] for key in like[0]} for row in rows]


def difference(one: Path, other: Path) -> float:
    """Mean absolute difference of two pictures in levels of 255."""
    pixels = [np.asarray(Image.open(path).convert("RGB"), np.float32) for path in (one, other)]
    return float(np.abs(pixels[0] - pixels[1]).mean())


def test_everything_is_listed_as_it_was(cli: CommandLine):
    project = cli("project", "show", "faces")
    assert {key: project[key] for key in GOLDEN["project"]} == GOLDEN["project"]
    assert chosen(cli("job", "list", "faces")["jobs"], GOLDEN["jobs"]) == GOLDEN["jobs"]
    assert cli("traits", "faces")["traits"] == GOLDEN["traits"]
    assert chosen(cli("places", "faces")["places"], GOLDEN["places"]) == GOLDEN["places"]
    assert chosen(cli("artifact", "list", "faces")["artifacts"], GOLDEN["parts"]) == GOLDEN["parts"]
    golden = GOLDEN["gallery"]["images"]
    known = {image["id"]: image for image in chosen(cli("gallery", "faces")["images"], golden)}
    assert [known[image["id"]] for image in golden] == golden


def test_the_same_request_draws_the_same_pictures(cli: CommandLine, storage: Path, tmp_path: Path):
    arguments = ("--from", "prompt", "--num", 2, "--seed", 7, "--steps", 4, "--out", tmp_path)
    as_then = ("--codes", "prior", "--spacing", "scheduler", "--sampler", "ddim")
    assert len(cli("sample", "faces", *arguments, *as_then)["images"]) == 2
    (first,) = (image for image in GOLDEN["gallery"]["images"] if image["id"] == 1)
    before = storage / "files" / first["sha256"][:2] / f"{first['sha256']}.png"
    assert min(difference(before, path) for path in tmp_path.glob("*.png")) < TOLERANCE


@pytest.mark.parametrize("kind", ONE_OF_EACH)
def test_a_picture_is_made_again_from_its_file(cli: CommandLine, storage: Path, kind: str):
    (image,) = (row for row in GOLDEN["gallery"]["images"] if row["id"] == ONE_OF_EACH[kind])
    before = storage / "files" / image["sha256"][:2] / f"{image['sha256']}.png"
    recalled = cli("recall", before, codes=(0, NOT_IDENTICAL))["image"]
    assert recalled["kind"] == kind
    assert difference(before, Path(recalled["file"])) < TOLERANCE


def test_the_project_file_comes_in_draws_and_goes_out(tmp_path: Path):
    with command_line_studio(Settings(storage=tmp_path / "storage")) as studio:
        report = studio.imports.import_project(FIXTURES / "project.zip")
        project = report.project.id
        assert set(studio.projects.get(project).artifacts) == {"inversion", "vae"}
        assert [view.name for view in studio.bookmarks.all(project)] == ["Two eyes"]
        drawn_as_before(studio, project)
        again = studio.exports.export(project, "project", tmp_path / "again.zip")
        with zipfile.ZipFile(again.file) as ours, zipfile.ZipFile(FIXTURES / "project.zip") as old:
            assert len(ours.namelist()) == len(old.namelist()) + 1  # the picture just drawn


def test_a_shape_model_trained_then_learns_where_its_set_lies_when_it_is_first_used(
    cli: CommandLine, storage: Path, tmp_path: Path
):
    arguments = ("--from", "distribution", "--num", 1, "--seed", 11, "--steps", 4, "--t0", 0.5)
    of_the_set = cli("sample", "faces", *arguments, "--out", tmp_path)["images"]
    (kept,) = (storage / "cache").glob("codes-*.safetensors")
    written = kept.stat().st_mtime_ns
    near = cli("sample", "faces", *arguments, "--codes", "set", "--out", tmp_path)["images"]
    assert kept.stat().st_mtime_ns == written
    assert of_the_set[0]["sha256"] != near[0]["sha256"]
    again = cli("sample", "faces", *arguments, "--out", tmp_path)["images"]
    assert again[0]["sha256"] == of_the_set[0]["sha256"]


@pytest.mark.slow
def test_a_run_that_was_paused_goes_on_to_its_end(cli: CommandLine):
    assert cli("job", "resume", 3)["state"] == "queued"
    cli("worker", "--drain")
    job = cli("job", "show", 3)
    assert (job["state"], job["step"], job["error"]) == ("succeeded", 6, None)


def drawn_as_before(studio: Studio, project: int) -> None:
    request = SampleRequest(
        kind="distribution", t0=0.5, seed=11, num_images=1, num_inference_steps=4, **EARLIER
    )
    (made,) = studio.sampling.sample(project, request)
    before = next(
        view for view in studio.gallery.page(project, 0, 60)
        if view.seed == 11 and view.kind == "distribution" and view.id != made.id
    )  # fmt: skip
    assert difference(made.file, before.file) < TOLERANCE
