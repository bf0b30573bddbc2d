"""The plan before a run: estimated first, measured then, and kept to by the run."""

import random
from pathlib import Path

import pytest
from PIL import Image

from dyod_studio.errors import InvalidInputError, JobStateError, TrainingError
from dyod_studio.jobs import calibration as calibrating
from dyod_studio.jobs.devices import device_key
from dyod_studio.models.memory_plan import Measurement
from dyod_studio.models.references import fingerprint_of
from dyod_studio.services.training import plan as planning
from dyod_studio.store.jobs import JobRepository
from dyod_studio.training.registry import parse_config
from tests.services.rows import rows_in

FEW = {"steps": 20, "batch_size": 2}


@pytest.fixture
def shoes(studio, tmp_path):
    Image.effect_noise((64, 64), 60).save(tmp_path / "shoe.png")
    view = studio.projects.create("Shoes")
    studio.projects.add_pictures(view.id, [tmp_path / "shoe.png"])
    return view


def keep_measurement(settings, storage, base, peak_memory_mb, batch_size=2):
    """As the measuring process leaves it."""
    config = parse_config("vae", {**FEW, "batch_size": batch_size})
    found = Measurement(peak_memory_mb, 10.0, 0.5, 1.0, 0.25)
    fingerprint = fingerprint_of(Path(base))
    size = planning.base_size(base, planning.STARTER_DIR)
    calibrating.keep(settings, storage, fingerprint, "vae", config, size.resolution, found)


def with_free_memory(monkeypatch, megabytes):
    monkeypatch.setattr(planning, "free_memory_mb", lambda device: float(megabytes))


def running_here(settings, storage, job_id, peak_memory_mb):
    with storage.database.session() as session:
        jobs = JobRepository(session)
        assert jobs.claim_next(device_key(settings), "host").id == job_id
        jobs.progress(job_id, 1, loss=1.0, seconds_left=None, peak_memory_mb=peak_memory_mb)


def test_before_anything_was_measured_the_plan_says_that_it_is_an_estimate(studio, settings, shoes):
    before = rows_in(settings)
    plan = studio.training.plan(shoes.id, "vae", FEW)
    assert (plan.method, plan.device, plan.is_estimate, plan.fits) == ("vae", "cpu", True, True)
    assert plan.peak_memory_mb > 0
    assert plan.seconds > 0
    assert rows_in(settings) == before


def test_a_measurement_of_these_settings_is_taken_as_it_is(studio, settings, storage, shoes):
    keep_measurement(settings, storage, shoes.base, 1234.0)
    plan = studio.training.plan(shoes.id, "vae", FEW)
    assert (plan.is_estimate, plan.peak_memory_mb) == (False, 1234.0)
    assert plan.seconds == pytest.approx(10 + 20 * 0.5 + 1.0 + 0.25)


def test_a_measurement_of_other_settings_still_says_estimate(studio, settings, storage, shoes):
    keep_measurement(settings, storage, shoes.base, 1234.0, batch_size=1)
    assert studio.training.plan(shoes.id, "vae", FEW).is_estimate


@pytest.mark.parametrize(
    ("values", "method"), [({"steps": 0}, "vae"), ({"stepps": 3}, "vae"), ({}, "magic")]
)
def test_what_cannot_be_started_cannot_be_planned(studio, settings, shoes, values, method):
    before = rows_in(settings)
    with pytest.raises(InvalidInputError):
        studio.training.plan(shoes.id, method, values)
    assert rows_in(settings) == before


def test_what_does_not_fit_says_what_will_be_done_and_the_run_is_told_to_do_it(
    studio, storage, shoes, monkeypatch
):
    values = {"steps": 20, "batch_size": 64}
    needed = studio.training.plan(shoes.id, "inversion", values).peak_memory_mb
    with_free_memory(monkeypatch, needed - 0.5)
    plan = studio.training.plan(shoes.id, "inversion", values)
    assert plan.fits
    assert plan.measures == ("Each batch of 64 is computed 32 at a time.",)
    job = studio.training.start(shoes.id, "inversion", values)
    assert job.notes == plan.measures
    with storage.database.session() as session:
        assert JobRepository(session).get(job.id).adjustments["accumulation"] == 2


def test_a_run_that_fits_is_changed_in_nothing(studio, settings, storage, shoes):
    keep_measurement(settings, storage, shoes.base, 10.0)
    job = studio.training.start(shoes.id, "vae", FEW)
    assert job.notes == ()
    with storage.database.session() as session:
        assert JobRepository(session).get(job.id).adjustments == {}


def test_what_cannot_fit_says_how_much_is_missing(studio, settings, storage, shoes, monkeypatch):
    keep_measurement(settings, storage, shoes.base, 2000.0)
    with_free_memory(monkeypatch, 1)
    plan = studio.training.plan(shoes.id, "vae", FEW)
    assert not plan.fits
    assert "MB more have to be free" in plan.advice


def test_memory_of_the_run_that_trains_now_counts_as_free_for_the_next(
    studio, settings, storage, shoes, monkeypatch
):
    with_free_memory(monkeypatch, 1000)
    job = studio.training.start(shoes.id, "vae", FEW)
    running_here(settings, storage, job.id, 700.0)
    assert studio.training.plan(shoes.id, "vae", FEW).free_mb == 1700.0


def test_nothing_is_measured_while_a_run_trains_here(studio, settings, storage, shoes):
    job = studio.training.start(shoes.id, "vae", FEW)
    assert not studio.training.is_busy()
    running_here(settings, storage, job.id, None)
    assert studio.training.is_busy()
    with pytest.raises(JobStateError, match=f"Job {job.id} is training on this device: measure"):
        studio.training.plan(shoes.id, "vae", FEW, measure=True)


@pytest.mark.slow
def test_a_measurement_that_fails_is_said_and_leaves_no_figures(studio, settings, shoes):
    values = {**FEW, "space": "pixels"}
    for path in settings.storage.joinpath("files").rglob("*.png"):
        path.unlink()
    before = rows_in(settings)
    with pytest.raises(TrainingError):
        studio.training.plan(shoes.id, "vae", values, measure=True)
    assert rows_in(settings) == before
    assert list(settings.storage.joinpath("tmp").iterdir()) == []


@pytest.mark.slow
def test_a_few_real_steps_turn_the_estimate_into_a_measurement(studio, shoes):
    plan = studio.training.plan(shoes.id, "vae", FEW, measure=True)
    assert not plan.is_estimate
    assert studio.training.plan(shoes.id, "vae", FEW).peak_memory_mb == plan.peak_memory_mb


def test_a_project_is_told_what_to_train_next_and_why_and_nothing_is_changed(
    studio, settings, shoes
):
    before = rows_in(settings)
    few = studio.training.recommend(shoes.id)
    assert few.methods == ()
    assert few.reasons[0].startswith("There is 1 picture: add at least 3")
    assert rows_in(settings) == before


def test_every_recommendation_is_a_method_that_is_offered_and_fits(
    studio, settings, tmp_path, shoes, monkeypatch
):
    generator = random.Random(0)
    for number in range(60):
        pixels = bytes(generator.randrange(256) for _ in range(3 * 8 * 8))
        image = Image.frombytes("RGB", (8, 8), pixels).resize((64, 64), Image.Resampling.NEAREST)
        image.save(tmp_path / f"{number}.png")
    studio.projects.add_pictures(shoes.id, sorted(tmp_path.glob("*.png")))
    assert studio.training.recommend("Shoes").methods == ("lora", "vae")
    with_free_memory(monkeypatch, 1)
    none = studio.training.recommend("Shoes")
    assert none.methods == ()
    assert "1 MB are free: left out" in " ".join(none.reasons)


def test_methods_say_for_how_many_pictures_they_are_and_what_they_cost(studio):
    for view in studio.training.methods():
        assert view.summary.endswith(".")
        assert view.num_pictures
        assert view.cost.endswith(".")
