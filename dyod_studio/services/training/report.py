"""Report of a run to be read elsewhere: a page in one file, and a text to send for help."""

import base64
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from statistics import fmean

from dyod_studio import __version__
from dyod_studio.disk import write_beside_and_rename
from dyod_studio.services.views import CheckpointView, JobView

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


STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 860px; margin: 40px auto; padding: 0 20px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 32px 0 8px; }
.quiet, th, figcaption { color: #78716c; font-weight: 400; }
table { border-collapse: collapse; } th { text-align: left; padding: 2px 24px 2px 0; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.bad { border-left: 4px solid #b91c1c; padding: 8px 14px; }
.curve { width: 100%; stroke: #0f766e; font-size: 12px; }
.curve .each { opacity: .3; } .curve .course { stroke-width: 2.5; }
.curve .grid { stroke: #a8a29e55; } .curve text { stroke: none; fill: #78716c; }
figure { margin: 0 0 14px; } figure div { display: flex; gap: 6px; flex-wrap: wrap; }
img { width: 160px; border-radius: 6px; background: #fff; }
pre { white-space: pre-wrap; font-size: 12px; }
"""
SAFE_SOURCE = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The file shows what it holds; it asks nothing of anybody and runs nothing."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Everything that is known of a run. ``losses``: (step, loss) of every finished update."""

    job: JobView
    title: str
    base: str
    losses: Sequence[Point]
    checkpoints: Sequence[CheckpointView]
    log: str


def report_html(record: RunRecord) -> str:
    """One HTML document that needs no other file and no network."""
    job = record.job
    name = f"{record.title}, run {job.id}"
    parts = [
        f"<h1>{escape(name)}</h1>",
        f'<p class="quiet">Project {escape(job.project)} · DYOD Studio {__version__}</p>',
        _failure(job),
        _listed("What was changed on the way", job.notes),
        _section("Loss", curve_svg(record.losses, job.num_steps)),
        _pictures("The last pictures", [("", job.previews)] if job.previews else []),
        _pictures("Saved states", [(_state_name(c), c.previews) for c in record.checkpoints]),
        _section("Run", _table(_facts(record))),
        _section("Settings", _table(job.settings)),
        _section("The end of the log", f"<pre>{escape(record.log)}</pre>" if record.log else ""),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{SAFE_SOURCE}">'
        f"<title>{escape(name)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def failure_text(record: RunRecord) -> str:
    """A text to send to whoever helps; the home folder's name is left out of it."""
    job = record.job
    lines = [
        f"DYOD Studio {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"Job {job.id} ({job.kind}) is {job.state}.",
        *([f"Cause: {job.error}"] if job.error else []),
        *([f"Remedy: {job.remedy}"] if job.remedy else []),
        *[f"Changed on the way: {note}" for note in job.notes],
        *[f"{name}: {value}" for name, value in _facts(record).items()],
        "Settings: " + ", ".join(f"{name}={value}" for name, value in job.settings.items()),
        "The end of the log:",
        record.log or "(no log)",
    ]
    return "\n".join(lines).replace(str(Path.home()), "~") + "\n"


def write_report(record: RunRecord, out: Path) -> Path:
    """Write ``out``, complete or not at all."""
    with write_beside_and_rename(out) as partial:
        partial.write_text(report_html(record), encoding="utf-8")
    return out


def _facts(record: RunRecord) -> dict[str, object]:
    job = record.job
    facts = {
        "state": job.state,
        "steps": f"{job.step} of {job.num_steps}",
        "loss": _number(job.loss),
        "pictures per second": _number(job.samples_per_s),
        "highest memory, MB": _number(job.peak_memory_mb),
        "attempts": job.attempts,
        "device": job.device,
        "base model": record.base,
        "goes on from": None if job.continues_job_id is None else _origin(job),
        "queued": _time(job.created_at),
        "started": _time(job.started_at),
        "ended": _time(job.finished_at),
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _origin(job: JobView) -> str:
    return f"run {job.continues_job_id}, step {job.start_step}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _state_name(checkpoint: CheckpointView) -> str:
    loss = "" if checkpoint.loss is None else f", loss {checkpoint.loss:.4g}"
    return f"step {checkpoint.step}{loss}{', the lowest loss' if checkpoint.is_best else ''}"


def _failure(job: JobView) -> str:
    if not job.error:
        return ""
    remedy = f"<br>{escape(job.remedy)}" if job.remedy else ""
    return f'<p class="bad"><b>{escape(job.error)}</b>{remedy}</p>'


def _section(title: str, body: str) -> str:
    return f"<h2>{title}</h2>{body}" if body else ""


def _listed(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return _section(title, f"<ul>{items}</ul>" if items else "")


def _table(values: Mapping[str, object]) -> str:
    rows = "".join(
        f"<tr><th>{escape(name.replace('_', ' '))}</th><td>{escape(_format_value(value))}</td></tr>"
        for name, value in values.items()
    )
    return f"<table>{rows}</table>" if rows else ""


def _format_value(value: object) -> str:
    if isinstance(value, list | tuple):
        return " · ".join(str(item) for item in value)
    return str(value)


def _pictures(title: str, rows: Iterable[tuple[str, Sequence[Path]]]) -> str:
    figures = "".join(
        f"<figure><figcaption>{escape(caption)}</figcaption><div>{_images(paths)}</div></figure>"
        for caption, paths in rows
    )
    return _section(title, figures)


def _images(paths: Sequence[Path]) -> str:
    """The pictures themselves; one that a running job has cleared away meanwhile is left out."""
    tags = []
    for path in paths:
        with suppress(FileNotFoundError):
            data = base64.b64encode(path.read_bytes()).decode()
            tags.append(f'<img alt="" src="data:image/png;base64,{data}">')
    return "".join(tags)
