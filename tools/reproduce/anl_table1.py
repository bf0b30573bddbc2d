"""Table 1 of the ANL paper in small: ANL with and without condition, tuning all layers, scratch.

All at equal steps, each in a project of its own, so that the newest part of a kind is the one.
"""

import argparse
from typing import Any

from dyod_studio.evaluation.plan import Sweep
from dyod_studio.services.evaluation.report import figure_text
from dyod_studio.services.evaluation.views import EvaluationSettings
from tools.reproduce.bench import Bench
from tools.reproduce.pages import markdown_table, write_rows, write_section

STEPS = 1000
ROWS: tuple[tuple[str, str, dict[str, Any], Sweep], ...] = (
    ("ANL, conditional", "anl", {"variant": "conditional"}, "mask-rate"),
    ("ANL, unconditional", "anl", {"variant": "unconditional"}, "none"),
    ("Tuning all layers", "full-finetune", {"learning_rate": 1e-4}, "none"),
    ("From scratch", "scratch", {"learning_rate": 1e-4}, "none"),
)
FIGURES = ("fid", "kid", "precision", "recall", "diversity", "copies")


def run(bench: Bench, asked: argparse.Namespace) -> None:
    """Train the four on the first set and measure each."""
    folder, rows, strips = asked.set[0], [], []
    facts: dict[str, Any] = {}
    steps = round(STEPS * asked.train)
    for name, method, values, sweep in ROWS:
        project = bench.project(f"{folder.name} {name}", folder)
        bench.train(project.id, method, {"steps": steps, **values})
        settings = EvaluationSettings(
            sweep=sweep, values=(0.0,) if sweep == "mask-rate" else (), num=asked.num,
            num_inference_steps=asked.steps, guidance_scale=asked.guidance,
            has_baselines=False, use=(method,),
        )  # fmt: skip
        (point,) = bench.evaluate(project.id, settings).points
        rows.append((name, *(figure_text(point.figure(figure)) for figure in FIGURES)))
        strips.append((name, [point.folder / file for file in point.strip]))
        facts[name] = {
            figure: told.value for figure in FIGURES if (told := point.figure(figure)) is not None
        }
    write_rows(strips, asked.out / "anl-table1.webp")
    order = " < ".join(sorted(facts, key=lambda name: facts[name]["fid"]))
    titles = ("", "FID", "KID x100", "precision", "recall", "diversity", "copies")
    body = (
        f"{steps} steps each on {folder.name}, {asked.num} pictures measured.\n\n"
        f"{markdown_table(titles, rows)}\n\nBy FID: {order}.\n\n"
        f"![the same seeds]({asked.out.name}/anl-table1.webp)"
    )
    title = "Table 1 of the ANL paper, in small"
    write_section(asked.out, "anl-table1", title, body, facts)
