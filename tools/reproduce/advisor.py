"""The advised t0 of sets that it was not tuned on, against the best t0 of a denser sweep.

The advice is read off the tenths alone, as a sweep on the page measures them; the same pictures
and those at the twentieths between them are the denser sweep.
"""

import argparse
from pathlib import Path
from typing import Any

from dyod_studio.evaluation.advice import GRID, Advice, advise
from dyod_studio.evaluation.compare import paired_difference
from dyod_studio.evaluation.results import PointResult
from dyod_studio.services.evaluation.report import figure_text
from dyod_studio.services.evaluation.views import EvaluationView
from tools.reproduce.bench import Bench
from tools.reproduce.pages import markdown_table, write_section
from tools.reproduce.sets import sets_of
from tools.reproduce.table1 import VALUES, lowest, measure

NEAR = 0.1
"""How far from the best t0 an advice may lie."""
TITLES = (
    "set", "pictures a point", "advised t0", "nearly as good", "best of the denser sweep",
    "KID x100 there", "KID x100 at the advice is higher by", "apart",
)  # fmt: skip


def run(bench: Bench, asked: argparse.Namespace) -> None:
    """Sweep t0 on every set and compare what is advised with what is best."""
    rows, facts = [], {}
    for name, folder in sets_of(asked):
        view = _swept(bench, name, folder, asked)
        advice = advise(tenths(view), _errors(bench, view))
        assert advice is not None  # a sweep of this length always advises
        best = lowest(view, view.extractors[0])
        facts[name] = judged(advice, best)
        rows.append((name, *_row(bench, view, advice, best)))
    good = sum(fact["is_near"] for fact in facts.values())
    body = (
        "The advice is read off t0 0.1, 0.2 ... by tenths, as the page sweeps it; the denser sweep "
        "has the same pictures and those at the twentieths between as well.\n\n"
        f"{markdown_table(TITLES, rows)}\n\nWithin {NEAR:g} of the best: {good} of {len(facts)} "
        "sets."
    )
    write_section(asked.out, "advisor", "The advised t0 against a denser sweep", body, facts)


def _swept(bench: Bench, name: str, folder: Path, asked: argparse.Namespace) -> EvaluationView:
    """The newest finished sweep of a set, of whatever size; else one is made now."""
    project = bench.project(name, folder)
    for view in bench.studio.evaluation.all(project.id):
        if view.job.state == "succeeded" and view.config.values == VALUES:
            return view
    return measure(bench, name, folder, asked)


def _errors(bench: Bench, view: EvaluationView) -> dict[str, float]:
    """Of the differences from the best tenth, as a sweep of tenths alone keeps them."""
    points, extractor = tenths(view), view.extractors[0]
    swept = [point for point in points if point.role == "sweep"]
    best = min(swept, key=lambda point: point.figures[extractor]["kid"].value)
    found = paired_difference(best, points, bench.storage.run_dir(view.job.id), extractor)
    return {name: apart.error for name, apart in found.items()}


def tenths(view: EvaluationView) -> list[PointResult]:
    """The points of a coarse sweep, and the baselines."""
    return [point for point in view.points if point.value is None or _is_whole(10 * point.value)]


def judged(advice: Advice, best: PointResult) -> dict[str, Any]:
    """How far the advice lies from the best point."""
    apart = round(abs(advice.t0 - (best.value or 0.0)), 3)
    return {
        "advised": advice.t0,
        "nearly_as_good": [advice.low, advice.high],
        "is_clear": advice.is_clear,
        "best": best.value,
        "apart": apart,
        "is_near": apart <= NEAR + 1e-9,
    }


def _row(bench: Bench, view: EvaluationView, advice: Advice, best: PointResult) -> tuple[str, ...]:
    extractor = view.extractors[0]
    at_advice = min(view.swept, key=lambda point: abs((point.value or 0.0) - advice.t0))
    run_dir = bench.storage.run_dir(view.job.id)
    apart = paired_difference(best, view.points, run_dir, extractor).get(at_advice.name)
    higher = "0" if apart is None else f"{apart.difference:.3g} ± {apart.error:.2g}"
    clear = "" if advice.is_clear else " (not clear)"
    return (
        str(view.config.num), f"{advice.t0:g}{clear}", f"{advice.low:g} to {advice.high:g}",
        f"{best.value:g}", figure_text(best.figures[extractor]["kid"]), higher,
        f"{abs(advice.t0 - (best.value or 0.0)):.2g}",
    )  # fmt: skip


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < GRID
