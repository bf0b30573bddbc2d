"""Measure what DreamBooth's prior term keeps: how varied the subject's class stays.

``python -m tools.prior_preservation PICTURES --class-noun face --out DIR`` trains DreamBooth on one
subject twice through the product's own commands, with the prior term and without, and compares how
varied the base draws "a face" before and after. PICTURES is a folder of 3 to 20 pictures of the
subject, or one picture, of which a few views are made. It writes ``table.md``, ``figures.json`` and
a sheet. Where it is broken off, the same command goes on with what lacks.

Secs. 3.2 and 4.2 of arXiv:2208.12242.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from safetensors import safe_open

from dyod_studio.datasets.images import read_image
from tools.commands import Commands

VIEWS = ((0, 0.9, 0, 0), (6, 0.8, 6, -4), (-6, 0.85, -5, 3), (3, 0.7, -8, -8), (-3, 0.75, 8, 6))
"""Of one picture: turned by degrees, scaled, moved by hundredths of the side."""
VIEW_PX = 256
SEED, SHOWN, CELL = 1, 8, 96


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    out = options.out.resolve()
    pictures = options.pictures
    if pictures.is_file():
        pictures = _views(pictures, out / "views")
    commands = Commands(out / "storage")
    rows = []
    for weight in options.weights:
        file = out / f"prior-weight-{weight:g}.safetensors"
        if not file.exists():
            _train(commands, pictures, weight, file, options)
        rows.append(facts_of(file) | {"prior_weight": weight})
        print(json.dumps(rows[-1]), flush=True)
    _write(out, rows, options)
    _sheet(commands, out, rows, options)


def facts_of(file: Path) -> dict[str, Any]:
    """What a trained part tells of its run."""
    with safe_open(file, framework="numpy") as opened:
        facts: dict[str, Any] = json.loads(opened.metadata()["dyod.facts"])
    return facts


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The two dangers, before and after, for each weight of the prior term."""
    measured = next(key for key in rows[0] if key.startswith("diversity_by_"))
    name = measured.removesuffix("_before").removesuffix("_after")
    lines = [
        "| prior weight | diversity of the class, base | after | of the base's | "
        "instance loss before | after |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        before, after = row[f"{name}_before"], row[f"{name}_after"]
        lines.append(
            f"| {row['prior_weight']:g} | {before:.3f} | {after:.3f} | {after / before:.0%} "
            f"| {row['instance_loss_before']:.3f} | {row['instance_loss_after']:.3f} |"
        )
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path, help="a folder, or one picture")
    parser.add_argument("--class-noun", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=float, nargs="+", default=[1.0, 0.0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--num-class-pictures", type=int, default=40)
    return parser


def _train(
    commands: Commands, pictures: Path, weight: float, file: Path, options: argparse.Namespace
) -> None:
    name = _project(weight)
    commands.run_once("project", "create", name, "--base", "starter")
    commands.run("dataset", "add", name, pictures)
    settings = {
        "class_noun": options.class_noun,
        "steps": options.steps,
        "learning_rate": options.learning_rate,
        "num_class_pictures": options.num_class_pictures,
        "prior_weight": weight,
        "preview_every": options.steps,
        "checkpoint_every": max(1, options.steps // 2),
    }
    assigned = [item for key, value in settings.items() for item in ("--set", f"{key}={value}")]
    commands.run("train", name, "dreambooth", *assigned, "--wait")
    commands.run("artifact", "export", name, "dreambooth", "--out", file)


def _project(weight: float) -> str:
    return f"prior weight {weight:g}"


def _views(picture: Path, folder: Path) -> Path:
    """A few views of one picture on white."""
    folder.mkdir(parents=True, exist_ok=True)
    square = ImageOps.pad(read_image(picture), (VIEW_PX, VIEW_PX), color="white")
    for number, (degrees, scale, right, down) in enumerate(VIEWS, start=1):
        side = round(VIEW_PX * scale)
        small = square.resize((side, side), Image.Resampling.LANCZOS)
        turned = small.rotate(degrees, Image.Resampling.BICUBIC, fillcolor="white")
        view = Image.new("RGB", (VIEW_PX, VIEW_PX), "white")
        corner = (VIEW_PX - side) // 2
        place = (corner + right * VIEW_PX // 200, corner + down * VIEW_PX // 200)
        view.paste(turned, place)
        view.save(folder / f"{number}.png")
    return folder


def _write(out: Path, rows: Sequence[dict[str, Any]], options: argparse.Namespace) -> None:
    told = (
        f"Class: {rows[0]['class_prompt']!r}; {options.steps} steps, learning rate "
        f"{options.learning_rate:g}, {options.num_class_pictures} class pictures. Diversity: mean "
        "cosine distance of 12 pictures of the class by the ancestral sampler, in the CLIP that "
        "the base brings."
    )
    (out / "table.md").write_text(f"{table(rows)}\n\n{told}\n", encoding="utf-8")
    (out / "figures.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _sheet(
    commands: Commands, out: Path, rows: Sequence[dict[str, Any]], options: argparse.Namespace
) -> None:
    """The base's class; then for each weight the class and the subject."""
    lines = list(_lines(commands, out, rows))
    sheet = Image.new("RGB", (CELL * SHOWN, CELL * len(lines)), "white")
    for row, files in enumerate(lines):
        for place, file in enumerate(files):
            sheet.paste(read_image(file).resize((CELL, CELL)), (place * CELL, row * CELL))
    sheet.save(out / "sheet.webp", "WEBP", quality=85)


def _lines(commands: Commands, out: Path, rows: Sequence[dict[str, Any]]) -> Iterator[list[Path]]:
    yield _drawn(commands, out / "base", _project(rows[0]["prior_weight"]), rows[0], 0.0)
    for row in rows:
        name = _project(row["prior_weight"])
        yield _drawn(commands, out / f"{name} class", name, row, 1.0)
        subject = row | {"class_prompt": row["prompt"]}
        yield _drawn(commands, out / f"{name} subject", name, subject, 1.0)


def _drawn(
    commands: Commands, folder: Path, project: str, row: dict[str, Any], strength: float
) -> list[Path]:
    document = commands.run(
        *("sample", project, "--from", "prompt", "--prompt", row["class_prompt"]),
        *("--use", "dreambooth", "--strength", strength, "--num", SHOWN, "--seed", SEED),
        *("--steps", 20, "--out", folder),
    )
    images = document["images"]
    assert isinstance(images, list)
    return [Path(image["file"]) for image in images]


if __name__ == "__main__":
    main()
