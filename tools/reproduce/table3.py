"""Table 3 of the ANL paper: FID and Inception Score against the mask rate of masked sampling."""

import argparse
from typing import Any

from dyod_studio.evaluation.results import PointResult
from dyod_studio.studio.evaluation.report import figure_text
from dyod_studio.studio.evaluation.views import EvaluationSettings
from tools.reproduce.bench import Bench
from tools.reproduce.pages import markdown_table, write_plot, write_section, write_strips

VALUES = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9)
FIGURES = ("fid", "kid", "is", "diversity", "recall", "copies")
ANL_STEPS = 1000


def run(bench: Bench, asked: argparse.Namespace) -> None:
    """Train a conditional ANL on each set and sweep its mask rate."""
    parts, facts = [], {}
    for folder in asked.set:
        project = bench.project(folder.name, folder)
        bench.train(project.id, "anl", {"steps": round(ANL_STEPS * asked.train)})
        settings = EvaluationSettings(
            sweep="mask-rate", values=VALUES, num=asked.num, num_inference_steps=asked.steps,
            guidance_scale=asked.guidance, has_baselines=False, use=("anl",),
        )  # fmt: skip
        view = bench.evaluate(project.id, settings)
        found = trend(view.points)
        facts[folder.name] = found
        write_plot(view, "fid", asked.out / f"table3-{folder.name}.svg")
        write_strips(view.points, asked.out / f"table3-{folder.name}.webp")
        rows = [
            (point.name, *(figure_text(point.figure(name)) for name in FIGURES))
            for point in view.points
        ]
        table = markdown_table(("", "FID", "KID x100", "IS", "diversity", "recall", "copies"), rows)
        steps = round(ANL_STEPS * asked.train)
        parts.append(
            f"### {folder.name}\n\nAn ANL of {steps} steps; {asked.num} pictures a row, each "
            f"after its own picture of the set, {asked.steps} denoiser steps.\n\n{table}"
            f"\n\n{_says(found)}\n\n"
            f"![FID against the mask rate]({asked.out.name}/table3-{folder.name}.svg)\n\n"
            f"![the same seeds at each mask rate]({asked.out.name}/table3-{folder.name}.webp)"
        )
    title = "Table 3 of the ANL paper: freedom against closeness"
    write_section(asked.out, "table3", title, "\n\n".join(parts), facts)


def trend(points: tuple[PointResult, ...]) -> dict[str, Any]:
    """First and last of each figure, and the rank correlation with the mask rate."""
    found: dict[str, Any] = {}
    for name in FIGURES:
        values = [figure.value for point in points if (figure := point.figure(name)) is not None]
        found[name] = {"values": values, "rank_correlation": _rank_correlation(values)}
    return found


def _says(found: dict[str, Any]) -> str:
    told = []
    for name in ("fid", "diversity"):
        rises = found[name]["rank_correlation"]
        values = found[name]["values"]
        how = "grows" if rises > 0.5 else "falls" if rises < -0.5 else "neither grows nor falls"
        told.append(
            f"{name} {how} with the mask rate (from {values[0]:.3g} to {values[-1]:.3g}, rank "
            f"correlation {rises:.2f})"
        )
    return f"{told[0][0].upper()}{told[0][1:]}; {told[1]}."


def _rank_correlation(values: list[float]) -> float:
    """Spearman's rho with the order of the points."""
    order = sorted(range(len(values)), key=lambda place: values[place])
    ranks = {place: rank for rank, place in enumerate(order)}
    num = len(values)
    apart = sum((place - ranks[place]) ** 2 for place in range(num))
    return 1 - 6 * apart / (num * (num**2 - 1)) if num > 1 else 0.0
