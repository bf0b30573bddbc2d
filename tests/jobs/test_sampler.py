"""Requests carried out on a tiny base with really trained parts."""

import io
import json
import shutil
import threading
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from dyod_studio.errors import InvalidInputError, JobStateError, NotFoundError, SamplerError
from dyod_studio.jobs.sampler import run_request
from dyod_studio.models.artifacts import save_artifact
from dyod_studio.requests.sampling import read_request
from dyod_studio.settings import Settings
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.cleaning import delete_project
from dyod_studio.store.files import PNG, SAFETENSORS, WEBP
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.store.records import Generation, JobState
from dyod_studio.store.requests import GenerationRepository, InputFile, SampleRequestRepository
from dyod_studio.store.storage import Storage, open_storage
from tests.conftest import open_base
from tests.jobs.conftest import wait_until
from tests.models.parts import anl_part, dreambooth_part


class Bench:
    """A copy of the trained project, and a request in one line."""

    def __init__(self, settings: Settings, storage: Storage) -> None:
        self.settings, self.storage = settings, storage
        with storage.database.session() as session:
            (project,) = ProjectRepository(session).all()
            artifacts = ArtifactRepository(session).of_project(project.id)
        self.project_id, self.base = project.id, project.base
        self.artifacts = {row.kind: row.sha256 for row in artifacts}

    def ask(self, kind: str, inputs: dict[str, bytes] | None = None, **values: object) -> int:
        """Queue a request; ``inputs`` are the bytes of PNG files."""
        parameters = {
            "base": self.base,
            "artifacts": self.artifacts,
            "t0": 0.5,
            "seed": 3,
            "num_inference_steps": 4,
            "guidance_scale": None,
            "prompt": None,
            **values,
        }
        files = tuple(
            InputFile(name, self.storage.files.add_bytes(data, PNG).sha256, PNG)
            for name, data in (inputs or {}).items()
        )
        with self.storage.database.session() as session:
            requests = SampleRequestRepository(session)
            return requests.add(self.project_id, kind, parameters, num_steps=4, inputs=files).id

    def run(self, kind: str, **values: object) -> list[Generation]:
        request_id = self.ask(kind, **values)
        run_request(self.settings, self.storage, request_id)
        with self.storage.database.session() as session:
            assert SampleRequestRepository(session).get(request_id).state is JobState.SUCCEEDED
            return GenerationRepository(session).of_request(request_id)

    def request(self, request_id: int):
        with self.storage.database.session() as session:
            return SampleRequestRepository(session).get(request_id)

    def image(self, row: Generation) -> Image.Image:
        return Image.open(io.BytesIO(self.storage.files.path(row.sha256, PNG).read_bytes()))


@pytest.fixture
def bench(trained_dir, tmp_path):
    shutil.copytree(trained_dir, tmp_path / "storage")
    settings = Settings(storage=tmp_path / "storage", device="cpu")
    with open_storage(settings.storage, settings.resolved_database_url, migrate=True) as storage:
        yield Bench(settings, storage)


def png(size: tuple[int, int] = (60, 40), colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def largest_difference(a: Image.Image, b: Image.Image) -> int:
    return max(high for _, high in ImageChops.difference(a, b).getextrema())


@pytest.mark.parametrize(
    ("kind", "values", "count"),
    [
        ("prompt", {"t0": 1.0, "num_images": 2}, 2),
        ("distribution", {"num_images": 2}, 2),
        ("image", {"num_images": 2, "inputs": {"image": png()}}, 2),
        (
            "interpolation",
            {
                "a": "seed:1",
                "b": "b.png",
                "inputs": {"b": png()},
                "num_frames": 3,
                "free_noise": False,
                "is_spherical": True,
            },
            3,
        ),
        ("traversal", {"coordinate": 1, "span": 3.0, "num_frames": 3}, 3),
    ],
)
def test_every_kind_of_request_leaves_images_with_all_that_made_them(bench, kind, values, count):
    rows = bench.run(kind, **values)
    assert [row.position for row in rows] == list(range(count))
    for row in rows:
        image = bench.image(row)
        assert (image.format, image.size, image.mode) == ("PNG", (32, 32), "RGB")
        assert (row.width, row.height) == (32, 32)
        assert bench.storage.files.path(row.thumbnail_sha256, WEBP).exists()
        nameless = {**row.parameters, "base": Path(row.parameters["base"]).name}
        assert json.loads(image.text["dyod_metadata"]) == {"schema": 1, **nameless}
        assert row.parameters["kind"] == row.kind == kind
        assert row.parameters["artifacts"] == bench.artifacts
        assert row.parameters["guidance_scale"] > 0
        assert row.parameters["prompt"] == "<chairs>"
        assert row.parameters["seed"] == row.seed
        for fact in ("base_fingerprint", "torch", "diffusers", "dtype", "device"):
            assert row.parameters[fact]
    for name, data in values.get("inputs", {}).items():
        kept = bench.storage.files.path(rows[0].parameters[f"{name}_sha256"], PNG)
        assert kept.read_bytes() == data


def test_the_same_request_twice_gives_the_same_files_kept_once(bench):
    first = bench.run("distribution", num_images=2)
    num_files = len(list((bench.storage.root / "files").glob("??/*")))
    second = bench.run("distribution", num_images=2)
    assert [row.sha256 for row in first] == [row.sha256 for row in second]
    assert len(list((bench.storage.root / "files").glob("??/*"))) == num_files


@pytest.mark.parametrize("kind", ["prompt", "distribution"])
def test_an_image_is_made_again_from_its_own_seed_alone(bench, kind):
    third = bench.run(kind, t0=1.0, num_images=4, seed=5)[2]
    (alone,) = bench.run(kind, t0=1.0, num_images=1, seed=third.seed)
    assert third.seed == 7
    assert largest_difference(bench.image(third), bench.image(alone)) <= 1


def test_a_row_makes_its_images_again_after_the_defaults_were_resolved(bench):
    row = bench.run("distribution", num_images=1)[0]
    kept = {key: row.parameters[key] for key in ("guidance_scale", "prompt", "t0", "seed")}
    (again,) = bench.run("distribution", num_images=1, **kept)
    assert again.sha256 == row.sha256


def test_frames_share_their_noise_unless_it_is_free(bench):
    ends = {"a": "seed:1", "b": "seed:2", "is_spherical": False, "num_frames": 3}
    fixed = bench.run("interpolation", free_noise=False, **ends)
    free = bench.run("interpolation", free_noise=True, **ends)
    assert [row.seed for row in fixed] == [3, 3, 3]
    assert [row.seed for row in free] == [3, 4, 5]


def test_the_last_seed_is_followed_by_the_first(bench):
    values = bench.request(bench.ask("prompt", t0=1.0, num_images=3, seed=2**63 - 1)).parameters
    assert read_request("prompt", values).seeds() == [2**63 - 1, 0, 1]


def test_a_request_that_is_cancelled_before_it_begins_makes_nothing(bench):
    request_id = bench.ask("prompt", t0=1.0, num_images=1)
    with bench.storage.database.session() as session:
        SampleRequestRepository(session).cancel(request_id)
    with pytest.raises(SamplerError, match="was cancelled"):
        run_request(bench.settings, bench.storage, request_id)
    assert bench.request(request_id).state is JobState.CANCELLED


@pytest.fixture
def adapters(bench, tmp_path):
    """Hashes of a dreambooth and an anl that are stored in the project."""
    base = open_base(Path(bench.base))
    found = {}
    for part in (dreambooth_part(base), anl_part(base)):
        path = save_artifact(part, tmp_path / f"{part.kind}.safetensors")
        with bench.storage.files.guard(), bench.storage.database.session() as session:
            stored = ArtifactRepository(session).add(
                bench.project_id,
                part.kind,
                bench.storage.files.add_file(path, SAFETENSORS),
                base_fingerprint=base.fingerprint,
                config={},
            )
            found[part.kind] = stored.sha256
    return found


def test_an_adapter_is_used_by_its_strength_and_its_prompt_is_kept(bench, adapters):
    used = {"artifacts": {"dreambooth": adapters["dreambooth"]}, "t0": 1.0, "num_images": 1}
    (whole,) = bench.run("prompt", **used)
    assert whole.parameters["prompt"] == "a b dog"
    assert whole.parameters["adapter_strength"] == 1
    said = {**used, "prompt": "a b dog"}
    (half,) = bench.run("prompt", **said, adapter_strength=0.5)
    (none,) = bench.run("prompt", **said, adapter_strength=0.0)
    (plain,) = bench.run("prompt", **{**said, "artifacts": {}})
    assert largest_difference(bench.image(none), bench.image(plain)) == 0
    assert largest_difference(bench.image(half), bench.image(plain)) > 0
    assert largest_difference(bench.image(half), bench.image(whole)) > 0


def test_condition_pictures_and_a_text_reach_the_anl_and_stay_in_the_row(bench, adapters):
    used = {"artifacts": {"anl": adapters["anl"]}, "t0": 1.0, "num_images": 1}
    red, blue = {"condition": png()}, {"condition": png(colour="blue")}
    (row,) = bench.run("prompt", **used, inputs=red, mask_rate=0.3)
    assert row.parameters["mask_rate"] == 0.3
    kept = bench.storage.files.path(row.parameters["condition_sha256"], PNG)
    assert kept.read_bytes() == red["condition"]
    others = [
        bench.run("prompt", **used, inputs=blue, mask_rate=0.3),
        bench.run("prompt", **used, condition_text="a red cat"),
        bench.run("prompt", **used),
    ]
    for (other,) in others:
        assert largest_difference(bench.image(row), bench.image(other)) > 0


def test_a_condition_without_an_anl_fails_in_one_sentence(bench):
    request_id = bench.ask("prompt", t0=1.0, num_images=1, condition_text="a red cat")
    with pytest.raises(InvalidInputError, match="Only an anl draws after a condition"):
        run_request(bench.settings, bench.storage, request_id)
    assert bench.request(request_id).state is JobState.FAILED


@pytest.mark.parametrize(
    "wrong", [{"adapter_strength": 1.1}, {"mask_rate": 1.0}, {"text_weight": -0.1}]
)
def test_a_number_out_of_range_is_no_request(bench, wrong):
    values = bench.request(bench.ask("prompt", t0=1.0, num_images=1)).parameters
    assert read_request("prompt", values)
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        read_request("prompt", values | wrong)


def test_a_request_is_carried_out_once(bench):
    request_id = bench.ask("prompt", t0=1.0, num_images=1)
    run_request(bench.settings, bench.storage, request_id)
    with pytest.raises(JobStateError, match="is succeeded; it cannot become running"):
        run_request(bench.settings, bench.storage, request_id)
    assert bench.request(request_id).state is JobState.SUCCEEDED


@pytest.mark.parametrize("how", ["cancelled", "deleted"])
def test_a_request_that_is_not_wanted_any_more_stops_between_steps(bench, how):
    request_id = bench.ask("prompt", t0=1.0, num_images=8, num_inference_steps=900)
    raised: list[Exception] = []

    def run() -> None:
        try:
            run_request(bench.settings, bench.storage, request_id)
        except Exception as exc:
            raised.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: raised or bench.request(request_id).step > 2)
    if how == "deleted":
        delete_project(bench.storage, bench.project_id)
    else:
        with bench.storage.database.session() as session:
            SampleRequestRepository(session).cancel(request_id)
    thread.join(60)
    assert [str(exc) for exc in raised] == ["This request was cancelled."]
    if how == "deleted":
        assert list((bench.storage.root / "files").glob("??/*")) == []
    else:
        row = bench.request(request_id)
        assert (row.state, row.error) == (JobState.CANCELLED, None)
        assert 2 < row.step < row.num_steps == 900


def test_a_part_that_is_not_there_fails_the_request_in_one_sentence(bench):
    request_id = bench.ask("distribution", num_images=1, artifacts={"vae": "0" * 64})
    with pytest.raises(NotFoundError, match="no trained part"):
        run_request(bench.settings, bench.storage, request_id)
    row = bench.request(request_id)
    assert (row.state, row.error) == (
        JobState.FAILED,
        f"This project has no trained part {'0' * 64}.",
    )


def test_a_region_is_a_request_input_and_the_row_makes_its_picture_again(bench):
    mask = io.BytesIO()
    half = Image.new("L", (60, 40), 0)
    half.paste(255, (30, 0, 60, 40))
    half.save(mask, "PNG")
    given = {"inputs": {"image": png(), "region": mask.getvalue()}, "num_images": 1, "t0": 1.0}
    (row,) = bench.run("image", **given, prompt="a photo of {token}")
    assert bench.storage.files.path(row.parameters["region_sha256"], PNG).read_bytes()
    assert row.parameters["prompt"] == "a photo of <chairs>"
    made = bench.image(row)
    assert made.crop((0, 0, 16, 32)).getcolors() == [(16 * 32, (255, 0, 0))]
    assert len(made.crop((16, 0, 32, 32)).getcolors(4000)) > 1
    kept = {key: row.parameters[key] for key in ("guidance_scale", "prompt", "seed")}
    (again,) = bench.run("image", **given, **kept)
    assert largest_difference(made, bench.image(again)) == 0
