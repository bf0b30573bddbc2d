"""Table 3 of the ANL paper: FID and Inception Score against the mask rate of masked sampling."""

import argparse
from pathlib import Path
from typing import Any

import torch.nn.functional as F

from dyod_studio.evaluation.results import PointResult
from dyod_studio.models.anl import Condition
from dyod_studio.models.customised import SamplingConfig
from dyod_studio.services.evaluation.report import figure_text
from dyod_studio.services.evaluation.views import EvaluationSettings
from tools.reproduce.bench import Bench
from tools.reproduce.drawing import AT_ONCE, draw, features_of, own_base, reference_of, squares
from tools.reproduce.pages import markdown_table, write_plot, write_section, write_strips

VALUES = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9)
FIGURES = ("fid", "kid", "is", "diversity", "recall", "copies")
ANL_STEPS = 1000
TITLES = ("", "FID", "KID x100", "IS", "diversity", "recall", "copies", "spread")


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
        spreads = [spread_after_one(bench, project.id, folder, rate, asked) for rate in VALUES]
        found = trend(view.points) | {"spread": _rise(spreads)}
        facts[folder.name] = found
        write_plot(view, "fid", asked.out / f"table3-{folder.name}.svg")
        write_strips(view.points, asked.out / f"table3-{folder.name}.webp")
        rows = [
            (point.name, *(figure_text(point.figure(name)) for name in FIGURES), f"{spread:.3f}")
            for point, spread in zip(view.points, spreads, strict=True)
        ]
        table = markdown_table(TITLES, rows)
        steps = round(ANL_STEPS * asked.train)
        parts.append(
            f"### {folder.name}\n\nAn ANL of {steps} steps; {asked.num} pictures a row, each "
            f"after its own picture of the set, {asked.steps} denoiser steps. *Spread* is the mean "
            f"cosine distance of two pictures after the same one, for {AT_ONCE} of them.\n\n{table}"
            f"\n\n{_says(found)}\n\n"
            f"![FID against the mask rate]({asked.out.name}/table3-{folder.name}.svg)\n\n"
            f"![the same seeds at each mask rate]({asked.out.name}/table3-{folder.name}.webp)"
        )
    title = "Table 3 of the ANL paper: freedom against closeness"
    write_section(asked.out, "table3", title, "\n\n".join(parts), facts)


def spread_after_one(
    bench: Bench, project: int, folder: Path, rate: float, asked: argparse.Namespace
) -> float:
    """How much two pictures differ that are drawn after the same one: what the paper varies."""
    shown = squares(folder, own_base(bench).resolution)[:AT_ONCE]
    reverse = SamplingConfig(
        num_inference_steps=asked.steps, guidance_scale=asked.guidance,
        condition=Condition(images=shown, mask_rate=rate),
    )  # fmt: skip
    made = draw(bench, project, ("anl",), "prompt", reverse, num=2 * len(shown))
    features = F.normalize(features_of(reference_of(bench, shown).extractor.embed, made), dim=1)
    first, second = features.split(len(shown))
    return float(1 - (first * second).sum(dim=1).mean())


def trend(points: tuple[PointResult, ...]) -> dict[str, Any]:
    """First and last of each figure, and the rank correlation with the mask rate."""
    found: dict[str, Any] = {}
    for name in FIGURES:
        values = [figure.value for point in points if (figure := point.figure(name)) is not None]
        found[name] = _rise(values)
    return found


def _rise(values: list[float]) -> dict[str, Any]:
    return {"values": values, "rank_correlation": _rank_correlation(values)}


def _says(found: dict[str, Any]) -> str:
    told = []
    for name in ("fid", "spread", "diversity"):
        rises = found[name]["rank_correlation"]
        values = found[name]["values"]
        how = "grows" if rises > 0.5 else "falls" if rises < -0.5 else "neither grows nor falls"
        told.append(
            f"{name} {how} with the mask rate (from {values[0]:.3g} to {values[-1]:.3g}, rank "
            f"correlation {rises:.2f})"
        )
    return f"{told[0][0].upper()}{told[0][1:]}; {told[1]}; {told[2]}."


def _rank_correlation(values: list[float]) -> float:
    """Spearman's rho with the order of the points."""
    order = sorted(range(len(values)), key=lambda place: values[place])
    ranks = {place: rank for rank, place in enumerate(order)}
    num = len(values)
    apart = sum((place - ranks[place]) ** 2 for place in range(num))
    return 1 - 6 * apart / (num * (num**2 - 1)) if num > 1 else 0.0
