"""A curve with error bars as plain strokes: one drawing for the page, the report and the PDF.

Every coordinate is in a drawing of WIDTH x HEIGHT, its origin at the top left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from dyod_studio.evaluation.advice import Advice
from dyod_studio.evaluation.plan import baseline_name
from dyod_studio.evaluation.results import METRICS, PointResult
from dyod_studio.services.evaluation.views import SWEEPS, EvaluationView
from dyod_studio.services.training.report import ticks

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 24, 26, 46
CAP = 4
LINE = 13
"""Height of a line of words."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line through points. ``role``: grid, course, bar, baseline or chosen."""

    role: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Dot:
    """A measured point; ``label`` appears when the mouse rests on it."""

    x: float
    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Text:
    """Words at a place. ``anchor``: start, middle or end."""

    x: float
    y: float
    words: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes of a plot, in the order in which they are drawn."""

    title: str
    strokes: tuple[Stroke, ...]
    dots: tuple[Dot, ...]
    texts: tuple[Text, ...]


def plot_of(view: EvaluationView, metric: str, extractor: str) -> Drawing | None:
    """The course of one figure over the sweep, with the baselines; None when it lacks."""
    swept = [p for p in view.swept if metric in p.figures.get(extractor, {})]
    if not swept:
        return None
    base = [p for p in view.baselines if metric in p.figures.get(extractor, {})]
    scale = _Scale(swept, base, metric, extractor)
    chosen = view.advice.t0 if view.advice and view.advice.is_clear else None
    strokes = [*_grid(scale), *_baseline_strokes(scale, base)]
    if chosen is not None and metric == view.advice_metric:
        strokes.append(Stroke("chosen", ((scale.x(chosen), TOP), (scale.x(chosen), scale.floor))))
    points = [(scale.x(p.value or 0.0), scale.y(scale.of(p)[0])) for p in swept]
    strokes.append(Stroke("course", tuple(points)))
    strokes += [bar for p in swept for bar in _bars(scale, p)]
    dots = [Dot(x, y, _label(scale, p)) for (x, y), p in zip(points, swept, strict=True)]
    title = f"{METRICS[metric].title}, measured with {extractor}"
    texts = (*_tick_texts(scale, swept), *_labels(view, scale, base, title))
    return Drawing(title, tuple(strokes), tuple(dots), texts)


def svg_of(drawing: Drawing | None) -> str:
    """The drawing as SVG; empty when there is none."""
    if drawing is None:
        return ""
    lines = "".join(
        f'<polyline class="{stroke.role}" fill="none" points="'
        + " ".join(f"{x:.1f},{y:.1f}" for x, y in stroke.points)
        + '"/>'
        for stroke in drawing.strokes
    )
    dots = "".join(
        f'<circle cx="{dot.x:.1f}" cy="{dot.y:.1f}" r="5">'
        f"<title>{escape(dot.label)}</title></circle>"
        for dot in drawing.dots
    )
    texts = "".join(
        f'<text x="{text.x:.1f}" y="{text.y:.1f}" text-anchor="{text.anchor}">'
        f"{escape(text.words)}</text>"
        for text in drawing.texts
    )
    label = "; ".join(dot.label for dot in drawing.dots)
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(drawing.title)}: {escape(label)}">{lines}{dots}{texts}</svg>'
    )


def advice_svg(advice: Advice | None) -> str:
    """The curve under a slider that runs from 0 to 1: lower is closer; empty without advice."""
    if advice is None:
        return ""
    means = [point.mean for point in advice.curve]
    high = max(means)
    span = (high - min(means)) or 1.0
    line = " ".join(
        f"{100 * point.value:.1f},{4 + 24 * (high - point.mean) / span:.1f}"
        for point in advice.curve
    )
    words = (
        f"Measured: closest to your set at {advice.t0:g}"
        + (
            f", nearly as good from {advice.low:g} to {advice.high:g}"
            if advice.low < advice.high
            else ""
        )
        + "."
    )
    width = 100 * (advice.high - advice.low)
    return (
        f'<figure class="t0-curve"><svg viewBox="0 0 100 32" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(words)}"><rect x="{100 * advice.low:.1f}" width="{width:.1f}" y="0" '
        f'height="32"/><polyline fill="none" points="{line}"/></svg>'
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )


class _Scale:
    """From values to places of the drawing."""

    floor = HEIGHT - BOTTOM

    def __init__(
        self, swept: Sequence[PointResult], base: Sequence[PointResult], metric: str, extractor: str
    ) -> None:
        self._metric, self._extractor = metric, extractor
        ends = [v + side * s for p in (*swept, *base) for v, s in [self.of(p)] for side in (-1, 1)]
        self.low, self.high = min(0.0, *ends), max(ends)
        if self.high <= self.low:
            self.high = self.low + 1
        values = [p.value or 0.0 for p in swept]
        self.first, self.last = min(values), max(values)

    def of(self, point: PointResult) -> tuple[float, float]:
        figure = point.figures[self._extractor][self._metric]
        return figure.value, figure.std or 0.0

    def x(self, value: float) -> float:
        if self.last == self.first:
            return (LEFT + WIDTH - RIGHT) / 2
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - self.first) / (self.last - self.first)

    def y(self, value: float) -> float:
        return TOP + (self.floor - TOP) * (self.high - value) / (self.high - self.low)


def _grid(scale: _Scale) -> list[Stroke]:
    rows = [scale.y(tick) for tick in ticks(scale.low, scale.high)]
    return [Stroke("grid", ((LEFT, row), (WIDTH - RIGHT, row))) for row in rows]


def _baseline_strokes(scale: _Scale, base: Sequence[PointResult]) -> list[Stroke]:
    rows = [scale.y(scale.of(point)[0]) for point in base]
    return [Stroke("baseline", ((LEFT, row), (WIDTH - RIGHT, row))) for row in rows]


def _bars(scale: _Scale, point: PointResult) -> list[Stroke]:
    value, std = scale.of(point)
    if not std or not math.isfinite(std):
        return []
    x, above, below = scale.x(point.value or 0.0), scale.y(value + std), scale.y(value - std)
    ends = [Stroke("bar", ((x - CAP, row), (x + CAP, row))) for row in (above, below)]
    return [Stroke("bar", ((x, above), (x, below))), *ends]


def _tick_texts(scale: _Scale, swept: Sequence[PointResult]) -> list[Text]:
    found = [
        Text(LEFT - 8, scale.y(tick) + 4, f"{tick:.4g}", "end")
        for tick in ticks(scale.low, scale.high)
    ]
    is_named = any(point.name.split()[0] in ("inversion", "vae") for point in swept)
    return found + [
        Text(
            scale.x(point.value or 0.0), scale.floor + 18,
            f"{index}" if is_named else f"{point.value or 0.0:g}",
        )
        for index, point in enumerate(swept, start=1)
    ]  # fmt: skip


def _labels(
    view: EvaluationView, scale: _Scale, base: Sequence[PointResult], title: str
) -> list[Text]:
    found = [Text(LEFT, 14, title, "start")]
    below = SWEEPS[view.config.sweep][1]
    if below:
        found.append(Text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, below))
    above: float = -LINE
    for point in sorted(base, key=lambda point: -scale.of(point)[0]):
        name, line = baseline_name(point.role), scale.y(scale.of(point)[0])
        above = line - 5 if line - 5 - above >= LINE else line + LINE
        found.append(Text(WIDTH - RIGHT, above, name, "end"))
    return found


def _label(scale: _Scale, point: PointResult) -> str:
    value, std = scale.of(point)
    spread = f" ± {std:.2g}" if std else ""
    return f"{point.name}: {value:.3g}{spread}"
