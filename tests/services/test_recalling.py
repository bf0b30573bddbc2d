"""A picture out of the studio is all that is needed to make it again, to the very pixel."""

import json
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.requests.sampling import (
    InterpolationRequest,
    SampleRequest,
    TraversalRequest,
    condition_inputs,
)
from dyod_studio.store.cleaning import FileName, remove_unreferenced
from tests.services.test_picture_metadata import read_as_a1111
from tests.services.trained import draw_sketch, opened_studio, train_everything

FEW = {"num_inference_steps": 3, "seed": 11}


@pytest.fixture(scope="module")
def trained(base_folders, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "storage"
    train_everything(folder, base_folders["starter"])
    return folder


@pytest.fixture
def opened(trained, tmp_path):
    with opened_studio(tmp_path / "storage", copy_of=trained) as opened:
        yield opened


@pytest.fixture
def studio(opened):
    return opened[0]


def pixels(path: Path) -> bytes:
    with Image.open(path) as image:
        return image.convert("RGB").tobytes()


def draw_one_of_each_kind(studio, folder: Path) -> None:
    """Every way of making pictures that the studio has, with inputs and several at once."""
    sketch, mask = draw_sketch(folder / "s.png"), draw_sketch(folder / "m.png", "white")
    references = (draw_sketch(folder / "r1.png", "red"), draw_sketch(folder / "r2.png", "navy"))
    sample = studio.sampling.sample
    sample("chairs", SampleRequest(kind="prompt", num_images=2, prompt="a cat", **FEW))
    sample("chairs", SampleRequest(kind="distribution", num_images=3, t0=0.6, **FEW))
    sample(
        "chairs", SampleRequest(kind="image", inputs={"image": sketch}, num_images=2, t0=0.4, **FEW)
    )
    sample(
        "chairs",
        SampleRequest(
            kind="image", inputs={"image": sketch, "region": mask}, num_images=1, t0=0.9, **FEW
        ),
    )
    sample(
        "chairs",
        SampleRequest(
            kind="image", inputs={"image": sketch, **condition_inputs(references)}, num_images=3,
            use=("anl", "inversion"), adapter_strength=0.7, condition_text="red",
            mask_rate=0.5, text_weight=0.3, **FEW,
        ),
    )  # fmt: skip
    ends = {"a": str(sketch), "b": "seed:5", "num_frames": 3}
    studio.sampling.interpolate("chairs", InterpolationRequest(**ends, **FEW))
    studio.sampling.interpolate(
        "chairs", InterpolationRequest(**ends, is_spherical=True, free_noise=True, **FEW)
    )
    studio.sampling.traverse("chairs", TraversalRequest(coordinate=1, num_frames=3, **FEW))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_picture_of_an_exported_zip_is_made_again_to_the_pixel(studio, tmp_path):
    draw_one_of_each_kind(studio, tmp_path)
    report = studio.exports.export("chairs", "gallery", tmp_path / "out.zip")
    folder = tmp_path / "elsewhere"
    with zipfile.ZipFile(report.file) as archive:
        archive.extractall(folder)
    files = sorted(folder.glob("*_seed*.png"))
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert sorted(line["file"] for line in lines) == [file.name for file in files]
    assert len(files) == 20
    for file in files:
        with Image.open(file) as image:
            _, _, told = read_as_a1111(image.text["parameters"])
        assert (told["Steps"], told["Sampler"]) == ("3", "DPM++ 2M")
        assert f"seed{told['Seed']}.png" in file.name
        made = studio.recreation.recall(file)
        assert made.is_identical is True, file.name
        assert pixels(made.picture.file) == pixels(file)


def test_a_picture_is_made_again_after_newer_parts_were_trained_and_on_another_machine(
    opened, trained, tmp_path
):
    studio, _ = opened
    sketch = draw_sketch(tmp_path / "sketch.png")
    settings = SampleRequest(kind="image", inputs={"image": sketch}, num_images=2, t0=0.5, **FEW)
    made = studio.sampling.sample("chairs", settings)[1]
    report = studio.exports.export("chairs", "project", tmp_path / "chairs.zip")
    again = studio.recreation.read(made.file)
    assert (again.screen, again.request.seed, again.picture_seed) == ("studio", 11, 12)
    with opened_studio(tmp_path / "other") as (other, _):
        with pytest.raises(InvalidInputError, match="No project here has what .* was drawn with"):
            other.recreation.recall(made.file)
        brought = other.imports.import_project(report.file, base=studio.projects.get("chairs").base)
        recalled = other.recreation.recall(made.file)
        assert recalled.is_identical is True
        assert recalled.provenance.project_id == brought.project.id
        assert recalled.provenance.request.inputs["image"].read_bytes() == sketch.read_bytes()


def test_what_is_missing_is_named_before_anything_is_drawn(opened, tmp_path):
    studio, storage = opened
    settings = SampleRequest(
        kind="image", inputs={"image": draw_sketch(tmp_path / "sketch.png")}, num_images=1, **FEW
    )
    (made,) = studio.sampling.sample("chairs", settings)
    file = tmp_path / "kept.png"
    file.write_bytes(made.file.read_bytes())
    boots = studio.projects.create("boots", base=studio.projects.get("chairs").base)
    with pytest.raises(InvalidInputError, match="trained part that .* inversion [0-9a-f]{10}, vae"):
        studio.recreation.recall(file, boots.id)
    sketch = made.parameters["image_sha256"]
    studio.gallery.delete("chairs", [made.id])
    with storage.database.session() as session:
        session.connection().exec_driver_sql("DELETE FROM sample_requests")
    remove_unreferenced(storage, [FileName(sketch, ".png")])
    before = studio.gallery.count("chairs")
    with pytest.raises(InvalidInputError, match=f"the sketch .*{sketch[:10]}.* no longer in this"):
        studio.recreation.recall(file)
    assert studio.gallery.count("chairs") == before
    assert studio.recreation.read(file).notes == ("The sketch is no longer in this storage.",)


def foreign(tmp_path: Path, **texts: str) -> Path:
    chunks = PngInfo()
    for key, text in texts.items():
        chunks.add_text(key, text)
    Image.new("RGB", (8, 8)).save(tmp_path / "foreign.png", pnginfo=chunks)
    return tmp_path / "foreign.png"


def test_a_picture_of_another_tool_is_drawn_in_the_manner_of_the_project(studio, tmp_path):
    text = "a cat\nNegative prompt: dog\nSteps: 2, Sampler: Euler, CFG scale: 3.5, Seed: 77"
    file = foreign(tmp_path, parameters=text)
    with pytest.raises(InvalidInputError, match="Name the project that shall draw foreign.png"):
        studio.recreation.recall(file)
    recalled = studio.recreation.recall(file, "chairs")
    assert recalled.is_identical is None
    said = recalled.picture.parameters
    assert (said["prompt"], said["seed"], said["num_inference_steps"]) == ("a cat", 77, 2)
    assert (said["guidance_scale"], list(said["artifacts"])) == (3.5, ["inversion"])
    assert recalled.provenance.notes == ("Not used here: negative prompt.",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_images": 10**9}, r"num_images must lie in \[1, 64\]"),
        ({"num_inference_steps": 10**6}, r"num_inference_steps must lie in \[1, 1000\]"),
        ({"t0": "much"}, "cannot be used: t0"),
        ({"kind": "magic"}, "kind 'magic' cannot be made"),
        ({"image_sha256": "../../etc/passwd"}, "the sketch is no SHA-256"),
        ({"seed": -1, "first_seed": 3}, "seed is no whole number"),
        ({"artifacts": {"vae": "../../x"}}, "No project here has"),
        ({"prompt": "x" * 5000}, "at most 1000 characters"),
    ],
)
def test_a_picture_that_says_nonsense_changes_nothing(opened, tmp_path, change, message):
    studio, storage = opened
    (row,) = [part for part in studio.artifacts.list("chairs") if part.kind == "inversion"]
    said = {
        "schema": 1, "kind": "prompt", "base": "x", "artifacts": {"inversion": row.sha256},
        "t0": 1.0, "seed": 3, "num_inference_steps": 2, "guidance_scale": 2.0, "prompt": "a",
        "num_images": 1,
    }  # fmt: skip
    file = foreign(tmp_path, dyod_metadata=json.dumps({**said, **change}))
    with storage.database.session() as session:
        before = list(session.connection().connection.driver_connection.iterdump())
    with pytest.raises((InvalidInputError, NotFoundError), match=message):
        studio.recreation.recall(file)
    with storage.database.session() as session:
        assert list(session.connection().connection.driver_connection.iterdump()) == before
