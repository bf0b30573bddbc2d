"""The loss of a run as a drawing: one SVG for the page and for the report."""

import math
from collections.abc import Sequence
from statistics import fmean

MAX_POINTS = 200
WIDTH, HEIGHT = 720, 200
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 10, 26
NUM_TICKS = 4

Point = tuple[int, float]
"""(step, loss)."""


def thinned(points: Sequence[Point]) -> list[Point]:
    """At most MAX_POINTS points, each the mean of its share and at the last of its steps."""
    if len(points) <= MAX_POINTS:
        return list(points)
    shares: dict[int, list[Point]] = {}
    for index, point in enumerate(points):
        shares.setdefault(index * MAX_POINTS // len(points), []).append(point)
    return [(share[-1][0], sum(y for _, y in share) / len(share)) for share in shares.values()]


def smoothed(points: Sequence[Point]) -> list[Point]:
    """Each point as the mean of its surroundings: the course without the noise."""
    reach = max(1, len(points) // 30)
    losses = [loss for _, loss in points]
    around = [losses[max(0, at - reach) : at + reach + 1] for at in range(len(losses))]
    return [(step, fmean(near)) for (step, _), near in zip(points, around, strict=True)]


def ticks(low: float, high: float) -> list[float]:
    """Round numbers within [low, high], about NUM_TICKS of them."""
    rough = (high - low) / NUM_TICKS or abs(high) or 1.0
    power: float = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def curve_svg(points: Sequence[Point], num_steps: int) -> str:
    """Every loss, faint, and its course, over the whole length of the run.

    Empty while there are fewer than two finite points.
    """
    drawn = [(step, loss) for step, loss in thinned(points) if math.isfinite(loss)]
    if len(drawn) < 2:
        return ""
    losses = [loss for _, loss in drawn]
    low, high = min(losses), max(losses)
    if high == low:
        low, high = low - 0.5, high + 0.5
    last = max(num_steps, drawn[-1][0])

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / last

    def y(loss: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - loss) / (high - low)

    def line(points: Sequence[Point], kind: str) -> str:
        along = " ".join(f"{x(step):.1f},{y(loss):.1f}" for step, loss in points)
        return f'<polyline class="{kind}" points="{along}" fill="none" stroke-linejoin="round"/>'

    grid = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.4g}</text>'
        for tick in ticks(low, high)
    )
    below = "".join(
        f'<text x="{x(tick):.1f}" y="{HEIGHT - 6}" text-anchor="middle">{tick:,.0f}</text>'
        for tick in ticks(0, last)
        if tick == int(tick)
    )
    return (
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Loss over {drawn[-1][0]:,} steps, now {losses[-1]:.4g}">'
        f'<g class="grid">{grid}{below}</g>'
        f"{line(drawn, 'each')}{line(smoothed(drawn), 'course')}</svg>"
    )
