"""An evaluation to take along: one HTML file, one PDF, one JSON document beside them."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

from dyod_studio import __version__
from dyod_studio.disk import write_beside_and_rename
from dyod_studio.evaluation.results import METRICS, ExampleImage, Figure, PointResult
from dyod_studio.services.evaluation.plot import plot_of, svg_of
from dyod_studio.services.evaluation.summary import copies_sentence, distances, how_to_read
from dyod_studio.services.evaluation.views import EvaluationView
from dyod_studio.services.training.report import SAFE_SOURCE
from dyod_studio.services.views import ProjectView, to_json

NAME = "evaluation"
LARGE = 99.5
"""From here on two digits would be written as a power of ten."""
STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 900px; margin: 40px auto; padding: 0 20px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 32px 0 8px; }
.summary { font-size: 18px; line-height: 1.45; }
.quiet, th, figcaption { color: #78716c; font-weight: 400; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; }
th, td { text-align: left; white-space: nowrap; padding: 3px 14px 3px 0; }
td { font-variant-numeric: tabular-nums; }
.plot { width: 100%; font-size: 12px; } .plot text { fill: #78716c; }
.plot .grid { stroke: #a8a29e55; } .plot .course { stroke: #0f766e; stroke-width: 2.5; }
.plot .bar { stroke: #0f766e; } .plot .baseline { stroke: #b45309; stroke-dasharray: 6 5; }
.plot .chosen { stroke: #0f766e66; stroke-width: 8; } .plot circle { fill: #0f766e; }
figure { margin: 0 0 14px; } figure div { display: flex; gap: 6px; flex-wrap: wrap; }
img { width: 96px; border-radius: 6px; background: #fff; } .pair { display: inline-flex; gap: 2px; }
"""

Originals = Mapping[int, Path]
"""Thumbnails of pictures of the set, by the ids of their rows."""


def write_reports(
    view: EvaluationView, project: ProjectView, originals: Originals, folder: Path
) -> list[Path]:
    """Write the three files into ``folder``, each complete or not at all."""
    from dyod_studio.services.evaluation.pdf import write_pdf

    folder.mkdir(parents=True, exist_ok=True)
    document = json.dumps(report_json(view, project), indent=2)
    return [
        _put(folder / f"{NAME}.html", report_html(view, project, originals)),
        _written(folder / f"{NAME}.pdf", lambda path: write_pdf(view, project, originals, path)),
        _put(folder / f"{NAME}.json", document + "\n"),
    ]


def report_json(view: EvaluationView, project: ProjectView) -> dict[str, object]:
    """Everything that was measured, without the pictures."""
    return {
        "studio": __version__,
        "project": project.name,
        "base": project.base,
        "num_pictures": project.num_pictures,
        "job": view.job.id,
        "state": view.job.state,
        "device": view.job.device,
        "finished_at": to_json(view.job.finished_at),
        "summary": list(view.summary),
        "advice": to_json(view.advice),
        "config": view.config.model_dump(mode="json"),
        "notes": list(view.notes),
        "points": [_without_files(point) for point in view.points],
    }


def report_html(view: EvaluationView, project: ProjectView, originals: Originals) -> str:
    """One HTML document that needs no other file and no network."""
    title = f"How close is {project.name} to its pictures?"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="quiet">{escape(origin_line(view, project))}</p>',
        f'<p class="summary">{escape(" ".join(view.summary))}</p>',
        *(_extractor_section(view, extractor) for extractor in view.extractors),
        _strips(view),
        _extremes(view, originals),
        _copies(view, originals),
        _explained(view),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{SAFE_SOURCE}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def origin_line(view: EvaluationView, project: ProjectView) -> str:
    """One line on what was measured with what."""
    when = view.job.finished_at or view.job.started_at or view.job.created_at
    unfinished = "" if view.job.state == "succeeded" else f" · {view.job.state}, not all measured"
    return (
        f"{view.config.num} new pictures at each of {len(view.points)} settings, compared with "
        f"{project.num_pictures} of the project · base model {project.base} · "
        f"{view.job.device or 'no device'} · {when:%Y-%m-%d} · DYOD Studio {__version__}"
        f"{unfinished}"
    )


def figure_text(figure: Figure | None) -> str:
    """A figure as it stands in a table."""
    if figure is None:
        return "-"
    if figure.std is None:
        return f"{figure.value:.3g}"
    spread = f"{figure.std:.2g}" if figure.std < LARGE else f"{figure.std:.0f}"
    return f"{figure.value:.3g} ± {spread}"


def figure_table(view: EvaluationView, extractor: str) -> str:
    """All figures of one extractor; those of another stand in another table."""
    names = [name for name in view.metrics if any(_has(p, extractor, name) for p in view.points)]
    head = "".join(
        f'<th title="{escape(METRICS[name].tells)}">{METRICS[name].title}</th>' for name in names
    )
    rows = "".join(
        f"<tr><th>{escape(point.name)}</th>"
        + "".join(
            f"<td>{figure_text(point.figures.get(extractor, {}).get(name))}</td>" for name in names
        )
        + f"<td>{point.calls}</td><td>{point.seconds:.2f}</td></tr>"
        for point in view.points
    )
    return (
        f'<div class="scroll"><table><tr><th></th>{head}<th>U-Net calls</th>'
        f"<th>s a picture</th></tr>{rows}</table></div>"
    )


def _extractor_section(view: EvaluationView, extractor: str) -> str:
    drawing = svg_of(plot_of(view, view.metrics[0], extractor)) if view.metrics else ""
    how = escape(how_to_read(view.metrics[0])) if drawing else ""
    return (
        f'<h2>Measured with {escape(extractor)}</h2><p class="quiet">{how}</p>{drawing}'
        f"{figure_table(view, extractor)}"
    )


def _strips(view: EvaluationView) -> str:
    rows = "".join(
        f"<figure><figcaption>{escape(point.name)}</figcaption><div>"
        + "".join(_image(point.folder / file) for file in point.strip)
        + "</div></figure>"
        for point in view.points
    )
    return f"<h2>The same seeds at each setting</h2>{rows}"


def _extremes(view: EvaluationView, originals: Originals) -> str:
    found = distances(view.points)
    if found is None:
        return ""
    point = found[0][0]
    return (
        f"<h2>Closest and strangest at {escape(point.name)}</h2>"
        '<p class="quiet">Each beside the picture of the set that it is most like.</p>'
        + _pairs("The closest", point, point.best, originals)
        + _pairs("The strangest", point, point.worst, originals)
    )


def _copies(view: EvaluationView, originals: Originals) -> str:
    pairs = "".join(
        _pairs(point.name, point, point.copies, originals) for point in view.points if point.copies
    )
    sentence = copies_sentence(view.points)
    return f"<h2>Copies</h2><p>{escape(sentence)}</p>{pairs}" if sentence else ""


def _pairs(
    title: str, point: PointResult, shown: Sequence[ExampleImage], originals: Originals
) -> str:
    pairs = ""
    for entry in shown:
        images = _image(point.folder / entry.file)
        if entry.nearest_id is not None and entry.nearest_id in originals:
            images += _image(originals[entry.nearest_id])
        pairs += f'<span class="pair" title="{escape(entry.nearest)}">{images}</span>'
    return f"<figure><figcaption>{escape(title)}</figcaption><div>{pairs}</div></figure>"


def _explained(view: EvaluationView) -> str:
    explained = "".join(
        f"<li><b>{METRICS[name].title}</b>: {escape(METRICS[name].tells)}</li>"
        for name in view.metrics
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in view.notes)
    return f"<h2>What the figures tell</h2><ul>{explained}{notes}</ul>"


def _image(path: Path) -> str:
    if not path.is_file():
        return ""
    kind = path.suffix.removeprefix(".")
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="" src="data:image/{kind};base64,{data}">'


def _has(point: PointResult, extractor: str, metric: str) -> bool:
    return metric in point.figures.get(extractor, {})


def _without_files(point: PointResult) -> dict[str, object]:
    return {
        name: value
        for name, value in point.to_dict().items()
        if name not in ("key", "strip", "best", "worst")
    }


def _put(path: Path, text: str) -> Path:
    return _written(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def _written(path: Path, write: Callable[[Path], object]) -> Path:
    with write_beside_and_rename(path) as partial:
        write(partial)
    return path
