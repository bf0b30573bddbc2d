"""What runs take on this machine: measured in a process of its own, refined by every run."""

import pytest

from dyod_studio.errors import TrainingError
from dyod_studio.jobs.calibration import calibrate, known_for
from dyod_studio.jobs.devices import device_name
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.store.records import JobState
from dyod_studio.store.tables import CalibrationRow
from dyod_studio.training.registry import parse_config
from dyod_studio.training.run import Adjustments
from tests.jobs.conftest import TINY_RUNS, add_project_with_pictures, train_here


def look(settings, storage, base_dir, values, adjustments=None):
    config = parse_config("vae", values)
    with storage.database.session() as session:
        return known_for(
            settings, session, str(base_dir), "vae", config, adjustments or Adjustments()
        )


@pytest.mark.slow
def test_a_few_real_steps_are_measured_in_a_process_of_their_own_and_kept(
    settings, storage, base_dir
):
    project_id = add_project_with_pictures(storage, str(base_dir))
    config = parse_config("vae", TINY_RUNS["vae"])
    assert look(settings, storage, base_dir, TINY_RUNS["vae"]) is None
    found = calibrate(settings, storage, project_id, "vae", config)
    known = look(settings, storage, base_dir, TINY_RUNS["vae"])
    assert known.measurement == found
    assert 100 < found.peak_memory_mb < 4000
    assert 0 < found.step_s < found.setup_s
    assert found.preview_s > 0
    assert found.checkpoint_s > 0
    assert found.adjustments == {}
    assert list(storage.temporary_dir.iterdir()) == []


@pytest.mark.slow
def test_measuring_what_cannot_run_says_why(settings, storage, base_dir):
    with storage.database.session() as session:
        empty = ProjectRepository(session).add("lamps", base=str(base_dir), token="<lamps>").id
    config = parse_config("vae", TINY_RUNS["vae"])
    with pytest.raises(TrainingError, match="This project has no pictures yet"):
        calibrate(settings, storage, empty, "vae", config)
    assert list(storage.temporary_dir.iterdir()) == []


def test_every_run_refines_what_is_known_and_other_settings_find_the_nearest(
    settings, storage, base_dir
):
    project_id = add_project_with_pictures(storage, str(base_dir))
    values = TINY_RUNS["vae"] | {"steps": 4}
    for _ in range(2):
        job = train_here(settings, storage, project_id, "vae", values)
        assert job.state is JobState.SUCCEEDED, job.log_tail
    with storage.database.session() as session:
        (row,) = session.query(CalibrationRow).all()
    assert (row.device, row.method, row.num_samples) == (device_name(settings), "vae", 2)
    assert row.peak_memory_mb == pytest.approx(job.peak_memory_mb, rel=0.2)
    exact = look(settings, storage, base_dir, values)
    assert exact.measurement.step_s == row.step_s
    other = look(settings, storage, base_dir, values | {"batch_size": 3})
    assert other == exact
    shared = look(settings, storage, base_dir, values, Adjustments(accumulation=2))
    assert shared == exact
