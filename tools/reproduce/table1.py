"""Table 1 of DYOD: KID x100 and T/t0 for t0 from 0.3 to 0.8, without a start, and the VAE alone."""

import argparse
from pathlib import Path
from typing import Any

from dyod_studio.evaluation.figures import Figure
from dyod_studio.studio.evaluation.report import figure_text
from dyod_studio.studio.evaluation.views import EvaluationSettings, EvaluationView
from tools.reproduce.bench import Bench
from tools.reproduce.pages import markdown_table, write_plot, write_section, write_strips
from tools.reproduce.sets import apple_orange

VALUES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
SEPARATE = 2.0
"""Standard deviations by which a figure must lie below another to be called lower."""


def run(bench: Bench, asked: argparse.Namespace) -> None:
    """Measure every set and write the section."""
    tables, facts = [], {}
    for name, folder in _sets(asked):
        view = measure(bench, name, folder, asked)
        write_plot(view, "kid", asked.out / f"table1-{name}.svg")
        write_strips(view.points, asked.out / f"table1-{name}.webp")
        found = verdict(view)
        facts[name] = {**found, "points": [_told(point) for point in view.points]}
        tables.append(_part(name, view, found, asked.out.name))
    title = "Table 1 of DYOD: how far to noise the start"
    write_section(asked.out, "table1", title, "\n\n".join(tables), facts)


def measure(bench: Bench, name: str, folder: Path, asked: argparse.Namespace) -> EvaluationView:
    """Train inversion and VAE on a set, and sweep t0."""
    project = bench.project(name, folder)
    scale = asked.train
    bench.train(project.id, "vae", {"steps": round(600 * scale), "beta": asked.beta})
    bench.train(project.id, "inversion", {"steps": round(400 * scale)})
    settings = EvaluationSettings(
        sweep="t0", values=VALUES, num=asked.num, num_inference_steps=asked.steps,
        guidance_scale=asked.guidance, extractors=tuple(asked.extractor or ("base",)),
    )  # fmt: skip
    return bench.evaluate(project.id, settings)


def verdict(view: EvaluationView) -> dict[str, Any]:
    """Whether some t0 is lower than both baselines, and by how many deviations."""
    base = {point.role: _kid(point) for point in view.baselines}
    best = min(view.swept, key=lambda point: _kid(point).value)
    kid = _kid(best)
    apart = {role: _deviations(kid, figure) for role, figure in base.items()}
    return {
        "best_t0": best.value,
        "speed_up": 1 / (best.value or 1.0),
        "deviations_below": apart,
        "is_below_both": all(number > SEPARATE for number in apart.values()),
    }


def _part(name: str, view: EvaluationView, found: dict[str, Any], folder: str) -> str:
    rows = [
        (
            point.name, figure_text(point.figure("kid")), figure_text(point.figure("fid")),
            figure_text(point.figure("diversity")), point.calls,
            f"x{1 / point.value:.2g}" if point.role == "sweep" and point.value else "-",
            f"{point.seconds:.2f}",
        )
        for point in view.points
    ]  # fmt: skip
    titles = ("", "KID x100", "FID", "diversity", "U-Net calls", "T/t0", "s a picture")
    below = ", ".join(
        f"{number:.1f} deviations below {role}"
        for role, number in found["deviations_below"].items()
    )
    says = (
        "the paper's shape: some t0 lies below the prompt alone and below the VAE alone"
        if found["is_below_both"]
        else "NOT the paper's shape: no t0 lies clearly below both baselines"
    )
    return (
        f"### {name}\n\n{view.points[0].num_real} pictures of the set, {view.config.num} made at "
        f"each point; measured with {', '.join(view.extractors)}.\n\n"
        f"{markdown_table(titles, rows)}\n\n"
        f"The best t0 is {found['best_t0']:g}, {below}: {says}.\n\n"
        f"![KID against t0]({folder}/table1-{name}.svg)\n\n"
        f"![the same seeds at each t0]({folder}/table1-{name}.webp)"
    )


def _sets(asked: argparse.Namespace) -> list[tuple[str, Path]]:
    found = []
    if asked.icons is not None:
        folder = asked.work / "sets" / f"apple-orange-{asked.num_real}"
        found.append(("apple-orange", apple_orange(asked.icons, folder, asked.num_real)))
    return found + [(folder.name, folder) for folder in asked.set]


def _kid(point: Any) -> Figure:
    figure = point.figure("kid")
    assert figure is not None  # every sweep of a table measures it
    return figure


def _deviations(lower: Figure, higher: Figure) -> float:
    spread = ((lower.std or 0.0) ** 2 + (higher.std or 0.0) ** 2) ** 0.5
    return (higher.value - lower.value) / max(spread, 1e-9)


def _told(point: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in point.to_dict().items()
        if name in ("name", "role", "value", "num", "num_real", "calls", "seconds", "figures")
    }
