"""Figure 5 of DYOD: image initialisation with and without the learned word, KID against the set."""

import argparse
from pathlib import Path
from typing import Any

from PIL import Image

from dyod_studio.evaluation.compare import PairedDifference, kid_difference
from dyod_studio.evaluation.measure import Reference, measure
from dyod_studio.evaluation.results import Figure
from dyod_studio.models.customised import SamplingConfig
from dyod_studio.services.evaluation.report import figure_text
from tools.reproduce.bench import Bench
from tools.reproduce.drawing import draw, features_of, own_base, reference_of, squares
from tools.reproduce.pages import markdown_table, write_rows, write_section
from tools.reproduce.sets import sets_of

VALUES = (0.4, 0.6, 0.8)
WITH, WITHOUT = "with c*", "without"
PLAIN = "a picture"
"""What is said in the place of the learned word: it knows nothing of the set."""
SHOWN = 10
SEPARATE = 2.0
DEFAULT_SOURCES = Path("assets/examples/faces")
TITLES = ("t0", "KID x100 with c*", "KID x100 without", "with c* is lower by")


def run(bench: Bench, asked: argparse.Namespace) -> None:
    """Turn pictures of another kind into pictures of each set, both ways; a section for each."""
    side = own_base(bench).resolution
    folder = asked.sources or DEFAULT_SOURCES
    sources = squares(folder, side)
    for name, of_set in sets_of(asked):
        project = bench.project(name, of_set)
        bench.train(project.id, "inversion", {"steps": round(400 * asked.train)})
        strips = [("begins from", sources[:SHOWN])]
        made: dict[float, dict[str, list[Image.Image]]] = {}
        for t0 in VALUES:
            made[t0] = {
                way: _drawn(bench, project.id, asked, t0, prompt, sources)
                for way, prompt in ((WITH, None), (WITHOUT, PLAIN))
            }
            strips += [(f"t0 {t0:g} {way}", images[:SHOWN]) for way, images in made[t0].items()]
        write_rows(strips, asked.out / f"figure5-{name}.webp")
        real, tables, facts = squares(of_set, side), [], {}
        for ref in asked.extractor or ("base",):
            reference = reference_of(bench, real, extractor_ref=ref)
            table, facts[reference.extractor.name] = _measured(reference, made)
            tables.append(table)
        text = "\n\n".join(tables)
        body = (
            f"{asked.num} pictures a row, which begin from the {len(sources)} pictures of "
            f"{folder.name} in turn, {asked.steps} steps; the difference over the same seeds and "
            f"starts, ± its standard error.\n\n{text}\n\n"
            f"![image initialisation]({asked.out.name}/figure5-{name}.webp)"
        )
        title = f"Figure 5 of DYOD, image initialisation with and without c*: {name}"
        write_section(asked.out, f"figure5-{name}", title, body, facts)


def _measured(
    reference: Reference, made: dict[float, dict[str, list[Image.Image]]]
) -> tuple[str, dict[str, Any]]:
    rows, facts = [], {}
    for t0, ways in made.items():
        kid, apart = compare(reference, ways)
        facts[f"{t0:g}"] = told(kid, apart)
        rows.append(_row(t0, kid, apart))
    table = markdown_table(TITLES, rows)
    return f"Measured with {reference.extractor.name}:\n\n{table}\n\n{says(facts)}", facts


def compare(
    reference: Reference, made: dict[str, list[Image.Image]]
) -> tuple[dict[str, Figure], PairedDifference]:
    """KID of both ways against the set, and by how much it is lower with the word."""
    features = {
        name: features_of(reference.extractor.embed, images) for name, images in made.items()
    }
    kid = {name: measure(reference, rows, ("kid",))["kid"] for name, rows in features.items()}
    return kid, kid_difference(features[WITH], features[WITHOUT], reference.features)


def told(kid: dict[str, Figure], apart: PairedDifference) -> dict[str, Any]:
    """The facts of one t0."""
    both = {name: {"value": figure.value, "std": figure.std} for name, figure in kid.items()}
    return {**both, "lower_by": apart.difference, "standard_error": apart.error}


def says(found: dict[str, Any]) -> str:
    """At which t0 the learned word helps, and whether that is beyond chance."""
    lower = [t0 for t0, facts in found.items() if facts["lower_by"] > 0]
    clear = [
        t0 for t0, facts in found.items() if facts["lower_by"] > SEPARATE * facts["standard_error"]
    ]
    beyond = f"; by more than two standard errors at t0 {', '.join(clear) or '(none)'}."
    if len(lower) == len(found):
        return f"With the learned word KID is lower at every t0, as in the paper{beyond}"
    at = f"at t0 {', '.join(lower)} only" if lower else "at no t0"
    return f"With the learned word KID is lower {at}; the paper finds it lower always{beyond}"


def _drawn(
    bench: Bench, project: int, asked: argparse.Namespace, t0: float, prompt: str | None,
    sources: list[Image.Image],
) -> list[Image.Image]:  # fmt: skip
    reverse = SamplingConfig(
        t0=t0, num_inference_steps=asked.steps, guidance_scale=asked.guidance, prompt=prompt
    )
    kinds = ("inversion",)
    return draw(bench, project, kinds, "image", reverse, num=asked.num, images=sources)


def _row(t0: float, kid: dict[str, Figure], apart: PairedDifference) -> tuple[str, ...]:
    difference = figure_text(Figure(apart.difference, apart.error))
    return (f"{t0:g}", figure_text(kid[WITH]), figure_text(kid[WITHOUT]), difference)
