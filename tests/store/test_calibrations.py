import pytest

from dyod_studio.store.calibrations import MAX_WEIGHT, CalibrationRepository

PLACE = ("a card", "fingerprint", "vae", 64, '{"batch_size":4}')


@pytest.fixture
def calibrations(database):
    with database.session() as session:
        yield CalibrationRepository(session)


def measure(calibrations: CalibrationRepository, step_s: float, **more: float) -> None:
    calibrations.refine(*PLACE, peak_memory_mb=100.0, setup_s=1.0, step_s=step_s, **more)


def test_nothing_is_known_before_the_first_measurement(calibrations):
    assert calibrations.find(*PLACE) is None
    assert calibrations.nearest(*PLACE[:3]) is None


def test_measurements_of_the_same_settings_are_averaged(calibrations):
    measure(calibrations, 1.0, preview_s=5.0)
    measure(calibrations, 2.0)
    row = calibrations.find(*PLACE)
    assert (row.step_s, row.num_samples, row.peak_memory_mb) == (1.5, 2, 100.0)
    assert (row.preview_s, row.checkpoint_s) == (5.0, None)


def test_the_figures_follow_a_machine_that_has_changed(calibrations):
    for _ in range(50):
        measure(calibrations, 1.0)
    for _ in range(3 * MAX_WEIGHT):
        measure(calibrations, 3.0)
    assert calibrations.find(*PLACE).step_s == pytest.approx(3.0, rel=0.05)


def test_other_settings_of_the_method_are_the_nearest_that_is_known(calibrations):
    measure(calibrations, 1.0)
    other = (*PLACE[:4], '{"batch_size":8}')
    assert calibrations.find(*other) is None
    assert calibrations.nearest(*other[:3]).key == PLACE[4]
    assert calibrations.nearest("another card", *other[1:3]) is None
