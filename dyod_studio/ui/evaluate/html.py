"""Pieces of HTML about an evaluation. What comes from people, files or errors is escaped."""

import base64
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from html import escape
from pathlib import Path

from PIL import Image

from dyod_studio.services.evaluation.plot import plot_of, svg_of
from dyod_studio.services.evaluation.report import figure_table
from dyod_studio.services.evaluation.summary import copies_sentence, distances, how_to_read
from dyod_studio.services.evaluation.views import METRICS, SWEEPS, EvaluationView
from dyod_studio.ui.common.html import note
from dyod_studio.ui.common.run_html import progress_bar, time_left

SMALL_PX = 128
STATES = {
    "queued": "It waits for its turn: what was asked for before it runs first.",
    "running": "Making and measuring pictures",
    "paused": "It rests; what is measured is kept.",
    "cancelled": "It was stopped; what was measured is kept.",
    "failed": "It failed.",
}
Originals = Callable[[int | None], Path | None]
"""The thumbnail of a picture of the set, by the id of its row."""


def evaluation_name(view: EvaluationView) -> str:
    """Name of a finished or running evaluation in a list."""
    return f"{SWEEPS[view.config.sweep][0]}, {view.job.created_at:%d %b %H:%M}, run {view.job.id}"


def evaluation_card(view: EvaluationView) -> str:
    """The summary when there is one; before it, how far the measuring is."""
    summary = "".join(f"<p>{escape(sentence)}</p>" for sentence in view.summary)
    job, parts = view.job, [f'<div class="summary">{summary}</div>' if summary else ""]
    if job.state != "succeeded":
        done = f"{len(view.points)} of {view.num_points} settings measured"
        words = [STATES[job.state], done, time_left(job.seconds_left)]
        text = " · ".join(word for word in words if word)
        share = job.step / job.num_steps if job.num_steps else 0.0
        parts.append(f'{progress_bar(share)}<div class="job-facts">{escape(text)}</div>')
    if job.error:
        parts.append(note(f"{job.error} {job.remedy or ''}".strip(), "bad"))
    parts += [note(text) for text in dict.fromkeys((*job.notes, *view.notes))]
    return f'<div class="evaluation" data-run="{job.id}">{"".join(parts)}</div>'


def evaluation_body(view: EvaluationView, metric: str, original: Originals) -> str:
    """The curve of one figure and all figures, then the pictures."""
    if not view.points:
        return ""
    parts = [_figures(view, metric, extractor) for extractor in view.extractors]
    parts += [_strips(view), _extremes(view, original), _copies(view, original)]
    return "".join(parts)


def _figures(view: EvaluationView, metric: str, extractor: str) -> str:
    drawing = svg_of(plot_of(view, metric, extractor))
    tells = escape(how_to_read(metric)) if metric in METRICS else ""
    return (
        f'<div class="figure"><h3>Measured with {escape(extractor)}</h3><p>{tells}</p>{drawing}'
        f"{figure_table(view, extractor)}</div>"
    )


def _strips(view: EvaluationView) -> str:
    rows = "".join(
        f"<figure><figcaption>{escape(point.name)}</figcaption>"
        f"<div>{_images([(point.folder / file, point.name) for file in point.strip])}</div>"
        "</figure>"
        for point in view.points
    )
    return _section(
        "The same seeds at each setting", "Each column is the same seed: read downwards.", rows
    )


def _extremes(view: EvaluationView, original: Originals) -> str:
    found = distances(view.points)
    if found is None:
        return ""
    point = found[0][0]
    rows = ""
    for title, shown in (("The closest", point.best), ("The strangest", point.worst)):
        pairs: list[tuple[Path | None, str]] = []
        for entry in shown:
            pairs += [(point.folder / entry.file, f"seed {entry.seed}")]
            pairs += [(original(entry.nearest_id), f"of the set: {entry.nearest}")]
        rows += f"<figure><figcaption>{title}</figcaption><div>{_images(pairs)}</div></figure>"
    text = "Each new picture, and the one of your set that it is most like."
    return _section(f"Closest and strangest at {point.name}", text, rows)


def _copies(view: EvaluationView, original: Originals) -> str:
    sentence, rows = copies_sentence(view.points), ""
    for point in view.points:
        pairs: list[tuple[Path | None, str]] = []
        for entry in point.copies:
            pairs += [(point.folder / entry.file, f"seed {entry.seed}")]
            pairs += [(original(entry.nearest_id), f"of the set: {entry.nearest}")]
        if pairs:
            name = escape(point.name)
            rows += f"<figure><figcaption>{name}</figcaption><div>{_images(pairs)}</div></figure>"
    return _section("Copies", sentence, rows) if sentence else ""


def _section(title: str, text: str, rows: str) -> str:
    return f'<div class="figure strips"><h3>{escape(title)}</h3><p>{escape(text)}</p>{rows}</div>'


def _images(shown: Sequence[tuple[Path | None, str]]) -> str:
    """Small pictures as data; one that is gone meanwhile is left out."""
    tags = ""
    for path, words in shown:
        if path is not None:
            with suppress(FileNotFoundError):
                uri = _small(path, path.stat().st_mtime_ns)
                tags += f'<img alt="{escape(words)}" title="{escape(words)}" src="{uri}">'
    return tags


@lru_cache(maxsize=1024)
def _small(path: Path, changed_ns: int) -> str:
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((SMALL_PX, SMALL_PX))
    file = io.BytesIO()
    small.save(file, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
