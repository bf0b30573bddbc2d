"""Which t0 suits a set: read off a measured curve, with what is nearly as good, and how fast."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dyod_studio.evaluation.results import DISTANCES, PointResult

GRID = 0.05
"""The page's slider stands at multiples of it."""
FEWEST_POINTS = 3
SURE = 2.0
"""Standard errors of a difference beyond which it is no chance."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One point of a curve: at ``value`` the distance is ``mean`` plus or minus ``std``.

    Args:
        error: standard error of its difference from the best point, seed by seed, where known.
    """

    value: float
    mean: float
    std: float
    error: float | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """Where to begin.

    Args:
        t0: the best for this set. low, high: the range that is nearly as good, within the noise.
        speed_up: T / t0 at ``t0``. speed_up_low: the same at ``low``.
        metric, extractor: what it was read off.
        curve: the measured points in the order of t0.
        baselines: the same distance without a start, and of the start alone, by their role.
        is_clear: the extractor can tell pictures at ``t0`` from the start alone, and finds them
            closer; where it cannot, eyes must choose.
    """

    t0: float
    low: float
    high: float
    speed_up: float
    speed_up_low: float
    metric: str
    extractor: str
    curve: tuple[Measured, ...]
    baselines: dict[str, Measured]
    is_clear: bool = True


def advise(
    points: Sequence[PointResult], errors: Mapping[str, float] | None = None
) -> Advice | None:
    """The advice of a sweep of t0; None before enough of it is measured.

    Args:
        errors: standard errors of the points' differences in KID from the best, by their names; a
            point without one is judged by the deviations over subsets, which say too much.
    """
    swept = [point for point in points if point.role == "sweep" and point.value]
    metric = next((name for name in DISTANCES if swept and swept[0].figure(name)), None)
    if metric is None or len(swept) < FEWEST_POINTS:
        return None
    extractor = next(iter(swept[0].figures))
    known = errors if errors is not None and metric == "kid" else {}
    curve = sorted((_measured(point, metric, known) for point in swept), key=_value)
    best = min(curve, key=lambda point: point.mean)
    low, high = nearly_as_good(curve, best)
    baselines = {
        point.role: _measured(point, metric, known) for point in points if point.role != "sweep"
    }
    start = baselines.get("vae")
    t0 = min(max(round(_bottom(curve, best) / GRID) * GRID, low), high)
    return Advice(
        t0=round(t0, 2),
        low=low,
        high=high,
        speed_up=1 / t0,
        speed_up_low=1 / low,
        metric=metric,
        extractor=extractor,
        curve=tuple(curve),
        baselines=baselines,
        is_clear=start is None or (best.mean < start.mean and not _is_as_good(start, best)),
    )


def nearly_as_good(curve: Sequence[Measured], best: Measured) -> tuple[float, float]:
    """The range around the best in which no point is worse than it by more than the noise.

    The noise is that of the difference of two points: two standard errors, or both deviations,
    joined.
    """
    place = curve.index(best)
    first = last = place
    while first > 0 and _is_as_good(curve[first - 1], best):
        first -= 1
    while last + 1 < len(curve) and _is_as_good(curve[last + 1], best):
        last += 1
    return curve[first].value, curve[last].value


def _is_as_good(point: Measured, best: Measured) -> bool:
    joined: float = (point.std**2 + best.std**2) ** 0.5
    noise = joined if point.error is None else SURE * point.error
    return point.mean - best.mean <= noise


def _bottom(curve: Sequence[Measured], best: Measured) -> float:
    """The lowest place of the parabola through the best point and its two neighbours."""
    place = curve.index(best)
    if place in (0, len(curve) - 1):
        return best.value
    before, after = curve[place - 1], curve[place + 1]
    left, right = best.value - before.value, after.value - best.value
    fall, rise = before.mean - best.mean, after.mean - best.mean
    bend = fall * right + rise * left
    if bend <= 0:
        return best.value
    return best.value + (fall * right**2 - rise * left**2) / (2 * bend)


def _measured(point: PointResult, metric: str, errors: Mapping[str, float]) -> Measured:
    figure = point.figure(metric)
    mean = float("nan") if figure is None else figure.value
    std = 0.0 if figure is None or figure.std is None else figure.std
    return Measured(point.value or 0.0, mean, std, errors.get(point.name))


def _value(point: Measured) -> float:
    return point.value
