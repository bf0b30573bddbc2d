"""A method added by one record and one file can be trained, drawn with, seen and taken out."""

import asyncio
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from dyod_studio.cli.main import main
from dyod_studio.errors import InvalidInputError
from dyod_studio.jobs.child import run_child, train_job
from dyod_studio.requests.part_kinds import registered
from dyod_studio.requests.part_records import PartKind, TrainingMethod
from dyod_studio.requests.sampling import SampleRequest
from dyod_studio.settings import Settings
from dyod_studio.ui.common.part_picker import on_choose, show_parts
from dyod_studio.ui.page import build_page
from tests.jobs.conftest import Queue, add_project_with_pictures
from tests.services.toy_method import KIND
from tests.services.trained import opened_studio

TOY = PartKind(
    KIND,
    "Mean shift",
    attach="tests.services.toy_method:attach",
    changes_unet=True,
    method=TrainingMethod(
        "tests.services.toy_method:ToyConfig",
        "Learn the mean",
        "Moves every picture towards the mean of your set.",
        num_pictures="2 or more",
        cost="Next to nothing.",
        uses_unet=False,
    ),
)


@pytest.fixture
def studio(tmp_path, base_folders):
    """A studio that knows the toy, with a project of six pictures."""
    with registered(TOY), opened_studio(tmp_path / "storage") as (studio, storage):
        add_project_with_pictures(storage, str(base_folders["starter"]))
        yield studio, storage


def train(studio, storage, **settings):
    """Queue the toy as the page does, and do what the worker and its child do."""
    (project,) = studio.projects.all()
    job = studio.training.start(project.id, KIND, {"steps": 30, "batch_size": 3, **settings})
    machine = Settings(storage=storage.metrics_path(job.id).parents[2], device="cpu")
    assert Queue(machine, storage, project.id).claim() == job.id
    run_child(machine, job.id, train_job)
    ended = studio.training.job(job.id)
    assert (ended.state, ended.error) == ("succeeded", None)
    assert studio.training.losses(job.id)
    return project.id


def drawn(studio, project, **values):
    request = SampleRequest(kind="prompt", seed=3, num_images=1, num_inference_steps=4, **values)
    (made,) = studio.sampling.sample(project, request)
    with Image.open(made.file) as image:
        return np.asarray(image, dtype=int), made


def test_the_toy_trains_and_draws_and_goes_out_as_a_file(studio, tmp_path):
    studio, storage = studio
    project = train(studio, storage)
    assert studio.projects.get(project).artifacts == (KIND,)
    plain, _ = drawn(studio, project, use=())
    moved, made = drawn(studio, project)
    assert set(made.parameters["artifacts"]) == {KIND}
    assert np.abs(moved - plain).max() > 0
    assert np.array_equal(drawn(studio, project, adapter_strength=0.0)[0], plain)
    assert np.array_equal(drawn(studio, project, use=())[0], plain)

    report = studio.exports.export(project, "artifacts", tmp_path / "parts.zip")
    with zipfile.ZipFile(report.file) as file:
        assert file.namelist() == [f"chairs-{KIND}.safetensors"]
    (path,) = studio.artifacts.export(project, KIND, tmp_path / "part.safetensors")
    assert path.stat().st_size > 0


def test_the_toy_is_offered_by_the_command_line_and_on_the_page(studio, tmp_path, capfd):
    studio, storage = studio
    assert main(["--storage", str(tmp_path / "cli"), "--json", "methods"]) == 0
    methods = {row["name"]: row for row in json.loads(capfd.readouterr().out)["methods"]}
    assert methods[KIND]["summary"] == "Moves every picture towards the mean of your set."
    assert "scale" in {view["name"] for view in methods[KIND]["fields"]}

    async def built():
        return build_page(studio, tmp_path / "scratch")

    page = asyncio.run(built())
    choices = {
        block.elem_id: block.choices
        for block in page.blocks.values()
        if getattr(block, "elem_id", None) in {"method", "guide-methods"}
    }
    assert ("Mean shift", KIND) in choices["method"]
    assert KIND in {name for _, name in choices["guide-methods"]}

    project = train(studio, storage, steps=2)
    panel, kinds, strength, *_ = show_parts(studio, project, {})
    assert (panel["visible"], strength["visible"]) == (True, True)
    assert (kinds["choices"], kinds["value"]) == ([("Mean shift", KIND)], [KIND])
    assert on_choose([KIND])[1]["visible"] is True


def test_without_its_record_nothing_knows_the_toy():
    with pytest.raises(InvalidInputError, match="use must name parts among inversion"):
        SampleRequest(kind="prompt", use=(KIND,))
