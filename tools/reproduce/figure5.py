"""Figure 5 of DYOD: image initialisation with and without the learned word, KID against the set."""

import argparse
from pathlib import Path
from typing import Any

from dyod_studio.models.customised import Reverse
from dyod_studio.studio.evaluation.report import figure_text
from tools.reproduce.bench import Bench
from tools.reproduce.drawing import compared, draw, own_base, squares
from tools.reproduce.pages import markdown_table, write_rows, write_section

VALUES = (0.4, 0.6, 0.8)
PLAIN = "a picture"
"""What is said in the place of the learned word: it knows nothing of the set."""
SHOWN = 10
DEFAULT_SOURCES = Path("assets/examples/faces")


def run(bench: Bench, asked: argparse.Namespace) -> None:
    """Turn pictures of another kind into pictures of each set, both ways."""
    parts, facts = [], {}
    side = own_base(bench).resolution
    sources = squares(asked.sources or DEFAULT_SOURCES, side)
    for folder in asked.set:
        project = bench.project(folder.name, folder)
        bench.train(project.id, "inversion", {"steps": round(400 * asked.train)})
        real, rows, strips = squares(folder, side), [], [("begins from", sources[:SHOWN])]
        found: dict[str, Any] = {}
        for t0 in VALUES:
            for name, prompt in (("with c*", None), ("without", PLAIN)):
                reverse = Reverse(
                    t0=t0, num_inference_steps=asked.steps, guidance_scale=asked.guidance,
                    prompt=prompt,
                )  # fmt: skip
                made = draw(
                    bench, project.id, ("inversion",), "image", reverse,
                    num=asked.num, images=sources,
                )  # fmt: skip
                kid = compared(bench, real, made, ("kid",))["kid"]
                found[f"{t0:g} {name}"] = {"value": kid.value, "std": kid.std}
                rows.append((f"{t0:g}", name, figure_text(kid)))
                strips.append((f"t0 {t0:g} {name}", made[:SHOWN]))
        facts[folder.name] = found
        write_rows(strips, asked.out / f"figure5-{folder.name}.webp")
        parts.append(
            f"### Other pictures to {folder.name}\n\n"
            f"{markdown_table(('t0', 'prompt', 'KID x100'), rows)}\n\n{_says(found)}\n\n"
            f"![image initialisation]({asked.out.name}/figure5-{folder.name}.webp)"
        )
    title = "Figure 5 of DYOD: image initialisation with and without c*"
    write_section(asked.out, "figure5", title, "\n\n".join(parts), facts)


def _says(found: dict[str, Any]) -> str:
    lower = [
        f"{t0:g}"
        for t0 in VALUES
        if found[f"{t0:g} with c*"]["value"] < found[f"{t0:g} without"]["value"]
    ]
    if len(lower) == len(VALUES):
        return "With the learned word KID is lower at every t0, as in the paper."
    at = ", ".join(lower) or "no t0"
    return f"With the learned word KID is lower at t0 {at} only; the paper finds it lower always."
