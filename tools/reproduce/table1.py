"""Table 1 of DYOD: KID x100 and T/t0 for t0 from 0.3 to 0.8, without a start, and the VAE alone."""

import argparse
from pathlib import Path
from typing import Any

from dyod_studio.evaluation.compare import PairedDifference, paired_difference
from dyod_studio.evaluation.results import Figure, PointResult
from dyod_studio.services.evaluation.report import figure_text
from dyod_studio.services.evaluation.views import EvaluationSettings, EvaluationView
from tools.reproduce.bench import Bench
from tools.reproduce.pages import markdown_table, write_plot, write_section, write_strips
from tools.reproduce.sets import sets_of

VALUES = (*(number / 20 for number in range(2, 9)), 0.5, 0.6, 0.7, 0.8)
"""The paper's are 0.3 ... 0.8 by tenths; the finer ones are what the advice is judged by."""
SEPARATE = 2.0
"""Deviations by which a figure must lie below another to be called lower."""
ABOUT = (
    "KID x100 is the mean over 100 random subsets of half of the made pictures (100 at most) "
    "against as many of the set, ± its deviation over these subsets, as in the paper. That "
    "deviation holds the chance of the set's part of each subset as well, which is the same for "
    "every row, so it says too much where two rows are compared. *Is below it by* is the row's KID "
    "less that of the best t0, both over all pictures, ± the standard error of that difference "
    "(delete-half jackknife over the seeds, which both rows share, and over the set)."
)


def run(bench: Bench, asked: argparse.Namespace) -> None:
    """Measure every set and write a section for each."""
    for name, folder in sets_of(asked):
        view = measure(bench, name, folder, asked)
        write_strips(view.points, asked.out / f"table1-{name}.webp")
        parts = [
            f"{view.points[0].num_real} pictures of the set, {view.config.num} made at each point, "
            f"{view.config.num_inference_steps} denoiser steps of the full schedule.",
            f"![the same seeds at each t0]({asked.out.name}/table1-{name}.webp)",
        ]
        facts: dict[str, Any] = {"points": [_told(point) for point in view.points]}
        for number, extractor in enumerate(view.extractors):
            plot = f"table1-{name}{f'-{number + 1}' if number else ''}.svg"
            write_plot(view, "kid", asked.out / plot, extractor)
            run_dir = bench.storage.run_dir(view.job.id)
            apart = paired_difference(lowest(view, extractor), view.points, run_dir, extractor)
            found = verdict(view, extractor, apart)
            facts[extractor] = found
            parts.append(_part(view, extractor, found, apart, f"{asked.out.name}/{plot}"))
        title = f"Table 1 of DYOD, how far to noise the start: {name}"
        write_section(asked.out, f"table1-{name}", title, "\n\n".join([*parts, ABOUT]), facts)


def measure(bench: Bench, name: str, folder: Path, asked: argparse.Namespace) -> EvaluationView:
    """Train inversion and VAE on a set, and sweep t0."""
    project = bench.project(name, folder)
    scale = asked.train
    bench.train(project.id, "vae", {"steps": round(600 * scale), "beta": asked.beta})
    bench.train(project.id, "inversion", {"steps": round(400 * scale)})
    settings = EvaluationSettings(
        sweep="t0", values=VALUES, num=asked.num, num_inference_steps=asked.steps,
        guidance_scale=asked.guidance, extractors=tuple(asked.extractor or ("base",)),
        codes=asked.codes, timestep_spacing=asked.spacing, sampler=asked.sampler,
    )  # fmt: skip
    return bench.evaluate(project.id, settings)


def lowest(view: EvaluationView, extractor: str) -> PointResult:
    """The point of the sweep that is closest to the set in the eyes of an extractor."""
    return min(view.swept, key=lambda point: _kid(point, extractor).value)


def verdict(
    view: EvaluationView, extractor: str, apart: dict[str, PairedDifference]
) -> dict[str, Any]:
    """Whether the best t0 is lower than both baselines, and by how many deviations.

    Args:
        apart: by how much each other point is further away, with the standard error of that.
    """
    best = lowest(view, extractor)
    kid = _kid(best, extractor)
    base = {point.role: point for point in view.baselines}
    subsets = {role: _deviations(kid, _kid(point, extractor)) for role, point in base.items()}
    errors = {role: apart[point.name].deviations for role, point in base.items()}
    return {
        "best_t0": best.value,
        "speed_up": 1 / (best.value or 1.0),
        "subset_deviations_below": subsets,
        "standard_errors_below": errors,
        "is_below_both_by_subsets": all(number > SEPARATE for number in subsets.values()),
        "is_below_both": all(number > SEPARATE for number in errors.values()),
    }


def _part(
    view: EvaluationView,
    extractor: str,
    found: dict[str, Any],
    apart: dict[str, PairedDifference],
    plot: str,
) -> str:
    rows = []
    for point in view.points:
        told = point.figures[extractor]
        far = apart.get(point.name)
        rows.append(
            (
                point.name, figure_text(told.get("kid")),
                "-" if far is None else figure_text(Figure(far.difference, far.error)),
                figure_text(told.get("fid")), figure_text(told.get("diversity")), point.calls,
                f"x{1 / point.value:.2g}" if point.role == "sweep" and point.value else "-",
                f"{point.seconds:.2f}",
            )
        )  # fmt: skip
    best = f"t0 {found['best_t0']:g}"
    titles = (
        "", "KID x100", f"{best} is below it by", "FID", "diversity", "U-Net calls", "T/t0",
        "s a picture",
    )  # fmt: skip
    return (
        f"Measured with {extractor}:\n\n{markdown_table(titles, rows)}\n\n{_says(found)}\n\n"
        f"![KID against t0]({plot})"
    )


def _says(found: dict[str, Any]) -> str:
    below = "; ".join(
        f"{found['standard_errors_below'][role]:.1f} standard errors ({number:.1f} deviations of "
        f"subsets) below the {'word' if role == 'prompt' else 'shape model'} alone"
        for role, number in found["subset_deviations_below"].items()
        if role in ("prompt", "vae")
    )
    shape = (
        "The paper's shape: it lies below both by more than two standard errors of the difference"
        if found["is_below_both"]
        else "NOT the paper's shape: it does not lie below both by two standard errors"
    )
    also = " and by more than two deviations of subsets" * found["is_below_both_by_subsets"]
    return f"The best t0 is {found['best_t0']:g}, {below}. {shape}{also}."


def _kid(point: PointResult, extractor: str) -> Figure:
    return point.figures[extractor]["kid"]


def _deviations(lower: Figure, higher: Figure) -> float:
    spread = ((lower.std or 0.0) ** 2 + (higher.std or 0.0) ** 2) ** 0.5
    return (higher.value - lower.value) / max(spread, 1e-9)


def _told(point: PointResult) -> dict[str, Any]:
    return {
        name: value
        for name, value in point.to_dict().items()
        if name in ("name", "role", "value", "num", "num_real", "calls", "seconds", "figures")
    }
