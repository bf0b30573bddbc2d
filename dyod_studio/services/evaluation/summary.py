"""Summary of an evaluation in two sentences, for somebody who knows nothing of its figures."""

from collections.abc import Sequence

from dyod_studio.evaluation.advice import Advice, Measured, nearly_as_good
from dyod_studio.evaluation.plan import baseline_name
from dyod_studio.evaluation.results import DISTANCES, METRICS, PointResult
from dyod_studio.requests.titles import field_title

SUBJECTS = {
    "t0": f"“{field_title('t0')}”",
    "mask-rate": f"“{field_title('mask_rate')}”",
    "guidance": f"“{field_title('guidance_scale')}”",
    "steps": f"“{field_title('num_inference_steps')}”",
}
FAR = 1.15
"""How many times another distance must be longer before "times" says anything."""


def summary_of(sweep: str, points: Sequence[PointResult], advice: Advice | None) -> tuple[str, ...]:
    """Two sentences: where the pictures are best, and against what; empty when nothing is known."""
    curve = distances(points)
    if curve is None:
        return ()
    best, swept, baselines = curve
    first = _of_t0(advice) if sweep == "t0" and advice else _of_others(sweep, best, swept)
    return first, f"{_against(best[1], baselines)}{_passing(best[0])}."


def copies_sentence(points: Sequence[PointResult]) -> str:
    """Whether pictures of the set were repeated, over everything that was made."""
    made = sum(point.num for point in points)
    found = round(sum(_copied(point) * point.num for point in points))
    if any(point.figure("copies") is None for point in points) or not made:
        return ""
    if not found:
        return f"None of the {made:,} pictures repeats one of your set."
    verb = "repeats" if found == 1 else "repeat"
    return f"{found:,} of the {made:,} pictures {verb} one of your set: compare them."


Named = tuple[PointResult, Measured]


def distances(
    points: Sequence[PointResult],
) -> tuple[Named, list[Named], list[Named]] | None:
    """The closest swept point, all swept points, and the baselines, by the first distance."""
    metric = next((name for name in DISTANCES if points and points[0].figure(name)), None)
    swept = [point for point in points if point.role == "sweep"]
    if metric is None or not swept:
        return None
    named = [(point, _measured(point, metric)) for point in swept]
    others = [(point, _measured(point, metric)) for point in points if point.role != "sweep"]
    return min(named, key=lambda entry: entry[1].mean), named, others


def _of_t0(advice: Advice) -> str:
    if not advice.is_clear:
        return (
            f"The measurement cannot tell the best {SUBJECTS['t0']}: it finds the shape model's "
            f"own blurred drawings as close to your set as anything from {advice.low:g} to "
            f"{advice.high:g}, so choose by the pictures below."
        )
    if advice.low == advice.high:
        nearly = "anything else is measurably further away"
    else:
        nearly = f"anything from {advice.low:g} to {advice.high:g} is nearly as good"
    fast = ""
    if advice.low < 1:
        fast = (
            f", and at {advice.low:g} a picture is drawn {advice.speed_up_low:.2g} times as fast "
            "as from the prompt alone"
        )
    return (
        f"Pictures come closest to your set with {SUBJECTS['t0']} at {advice.t0:g}; {nearly}{fast}."
    )


def _of_others(sweep: str, best: Named, swept: Sequence[Named]) -> str:
    point, measured = best
    if len(swept) == 1:
        return "This is how your project draws now."
    subject = SUBJECTS.get(sweep, sweep)
    if sweep == "artifact":
        return f"Of {len(swept)} trained parts, the {point.name} comes closest to your set."
    curve = sorted((measured for _, measured in swept), key=lambda measured: measured.value)
    low, high = nearly_as_good(curve, measured)
    nearly = "" if low == high else f"; anything from {low:g} to {high:g} is nearly as good"
    return f"Pictures come closest to your set with {subject} at {measured.value:g}{nearly}."


def _against(best: Measured, baselines: Sequence[Named]) -> str:
    if best.mean <= best.std:
        start = "Together they are so close to your set that the measurement can hardly tell them"
        return f"{start} from it"
    comparisons = [_times(best, point, measured) for point, measured in baselines]
    if not comparisons:
        return (
            "A number alone says little: measure again with another setting, or with the "
            "comparisons, to know whether it is good"
        )
    return f"They are {' and '.join(comparisons)}"


def _passing(point: PointResult) -> str:
    """How many of the pictures the measurement takes for pictures of the set (precision)."""
    figure = point.figure("precision")
    if figure is None:
        return ""
    share = round(100 * figure.value)
    if share < 1:
        return "; hardly any could pass for a picture of your set"
    if share > 98:
        return "; nearly all could pass for pictures of your set"
    return f"; about {share} in 100 could pass for pictures of your set"


def _times(best: Measured, point: PointResult, measured: Measured) -> str:
    name = baseline_name(point.role)
    name = f"{name[0].lower()}{name[1:]}"
    apart, noise = measured.mean - best.mean, (measured.std**2 + best.std**2) ** 0.5
    if abs(apart) <= noise:
        return f"about as close as with {name}"
    if apart < 0:
        return f"further away than with {name}"
    times = measured.mean / best.mean
    return (
        f"{times:.2g} times as close as with {name}"
        if times >= FAR
        else (f"a little closer than with {name}")
    )


def _measured(point: PointResult, metric: str) -> Measured:
    figure = point.figure(metric)
    if figure is None:
        return Measured(point.value or 0.0, float("inf"), 0.0)
    return Measured(point.value or 0.0, figure.value, figure.std or 0.0)


def _copied(point: PointResult) -> float:
    figure = point.figure("copies")
    return 0.0 if figure is None else figure.value


def how_to_read(metric: str) -> str:
    """One or two sentences below the heading of a curve, for somebody who never saw its figure."""
    known = METRICS[metric]
    better = {
        "lower": " Lower is closer to your set.",
        "higher": " Higher is better.",
        "neither": "",
    }[known.better]
    return f"{known.tells}{better} Where the bars of two points overlap, chance may explain it."
