"""The t0 that is read off a curve."""

import math

import pytest

from dyod_studio.evaluation.advice import advise
from dyod_studio.evaluation.results import Figure, PointResult


def point(value: float | None, mean: float, std: float = 0.1, role: str = "sweep") -> PointResult:
    name = role if value is None else f"t0 {value:g}"
    return PointResult(
        key="", name=name, role=role, value=value, settings={}, num=10, num_real=10, calls=1,
        seconds=1.0, figures={"CLIP": {"kid": Figure(mean, std)}},
    )  # fmt: skip


def sweep(curve: dict[float, float], std: float = 0.1) -> list[PointResult]:
    return [point(value, mean, std) for value, mean in curve.items()]


def test_the_advice_is_the_bottom_of_the_curve_and_what_noise_cannot_tell_from_it():
    points = sweep({0.2: 9, 0.3: 5, 0.4: 2.05, 0.5: 2.0, 0.6: 2.12, 0.7: 4, 1.0: 7})
    points += [point(None, 7.2, role="prompt"), point(None, 20, role="vae")]
    found = advise(points[::-1])
    assert found is not None
    assert (found.t0, found.low, found.high) == (0.5, 0.4, 0.6)
    assert (found.speed_up, found.speed_up_low) == (2, 2.5)
    assert (found.metric, found.extractor) == ("kid", "CLIP")
    assert {role: told.mean for role, told in found.baselines.items()} == {"prompt": 7.2, "vae": 20}
    assert [told.value for told in found.curve] == sorted(told.value for told in found.curve)


@pytest.mark.parametrize("bottom", [0.25, 0.32, 0.5, 0.68, 0.77])
def test_the_advice_of_a_coarse_sweep_is_near_the_bottom_of_a_dense_one(bottom: float):
    def curve(t0: float) -> float:
        return 3 + 40 * (t0 - bottom) ** 2 + (8 * (bottom - t0) ** 3 if t0 < bottom else 0)

    coarse = advise(sweep({t / 10: curve(t / 10) for t in range(1, 11)}, std=0.2))
    dense = min((t / 100 for t in range(1, 101)), key=curve)
    assert coarse is not None
    assert abs(coarse.t0 - dense) < 0.1


def test_an_extractor_that_does_not_see_the_blur_of_the_start_gives_no_clear_advice():
    curve = {0.2: 2.0, 0.5: 2.2, 0.8: 5.0}
    blind = advise([*sweep(curve), point(None, 2.05, role="vae")])
    sharp = advise([*sweep(curve), point(None, 4.0, role="vae")])
    assert blind is not None
    assert sharp is not None
    assert (blind.is_clear, sharp.is_clear) == (False, True)


def test_a_curve_that_falls_to_its_end_advises_its_end_and_few_points_nothing():
    falling = advise(sweep({0.2: 9, 0.6: 5, 1.0: 2}))
    assert falling is not None
    assert (falling.t0, falling.speed_up) == (1.0, 1.0)
    assert advise(sweep({0.2: 9, 0.6: 5})) is None
    assert advise([]) is None
    flat = advise(sweep({0.2: 1, 0.4: 1, 0.6: 1}))
    assert flat is not None
    assert (flat.low, flat.high) == (0.2, 0.6)
    assert not math.isnan(flat.t0)


def test_differences_seed_by_seed_decide_what_is_nearly_as_good_where_they_are_known():
    points = [
        *sweep({0.3: 2.5, 0.4: 2.0, 0.5: 2.1, 0.6: 2.5}, std=1.0),
        point(None, 2.6, role="vae"),
    ]
    blurred = advise(points)
    assert blurred is not None
    assert (blurred.low, blurred.high, blurred.is_clear) == (0.3, 0.6, False)
    errors = {"t0 0.3": 0.2, "t0 0.5": 0.06, "t0 0.6": 0.3, "vae": 0.2}
    sharp = advise(points, errors)
    assert sharp is not None
    assert (sharp.low, sharp.high, sharp.is_clear) == (0.4, 0.6, True)
