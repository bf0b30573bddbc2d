"""Measure whether the set's style draws things that it never saw, by their names.

``python -m tools.held_back_names PICTURES --out DIR`` holds back every tenth picture, trains the
set's style on the others through the product's own commands, and draws each thing held back by its
name, from noise, with the style and with the base model alone. It writes ``table.md``,
``figures.json`` and a sheet. Where it is broken off, the same command goes on.

Named: how many pictures have their name among the five nearest of 100 in the starter's CLIP, which
knows the true pictures' names as the first row says. KID x100 to the true pictures, whole and in
quarters.
"""

import argparse
import json
import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image

from dyod_studio.datasets.captions import caption_of_name
from dyod_studio.datasets.images import centre_crop, prepare, read_image
from dyod_studio.evaluation.measure import Reference, measure
from dyod_studio.jobs.sampler import load_parts
from dyod_studio.models.artifacts import Artifact
from dyod_studio.models.base import BaseModel, to_tensor
from dyod_studio.models.clip import open_clip
from dyod_studio.models.customised import SamplingConfig, open_customised
from dyod_studio.models.devices import DtypePolicy
from dyod_studio.models.feature_extractors import open_extractor
from dyod_studio.models.loading import load_base
from dyod_studio.requests.sampling import DEFAULT_SAMPLER, DEFAULT_STEPS
from dyod_studio.settings import STARTER_DIR, Settings
from dyod_studio.store.storage import open_storage
from tools.commands import Commands
from tools.held_back import EVERY, begin_project, sheet_of

COUNT, NUM_NAMES, NEAREST = 20, 100, 5
SEEDS = (1, 2, 3, 4)
PROJECT = "names"


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of pictures drawn in one way."""

    name: str
    named: float
    kid: float
    kid_error: float
    kid_quarters: float


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    files = sorted(path for path in options.pictures.iterdir() if path.is_file())
    storage = options.out / "storage"
    sha256 = _train(Commands(storage), files, options.out / "learned")
    base = load_base("starter", starter_dir=STARTER_DIR, device=torch.device("cpu"),
                     dtype=DtypePolicy())  # fmt: skip
    held_back = files[::EVERY][:COUNT]
    names = [caption_of_name(path.name) for path in held_back]
    rest = [caption_of_name(path.name) for path in files if path not in held_back]
    others = random.Random(0).sample(rest, min(NUM_NAMES - len(names), len(rest)))
    true = [square(path, base) for path in held_back]
    with open_storage(storage, Settings(storage=storage).resolved_database_url) as opened:
        style = load_parts(opened, 1, {"lora": sha256})
    drawn = {"base model alone": draw(base, {}, names), "set style": draw(base, style, names)}
    write(options.out, base, true, [*names, *others], drawn)


def square(path: Path, base: BaseModel) -> Image.Image:
    image = read_image(path)
    return prepare(image, centre_crop(image.size), base.resolution)


def draw(base: BaseModel, parts: dict[str, Artifact], names: Sequence[str]) -> list[Image.Image]:
    """A picture of each name for every seed, name by name."""
    with ExitStack() as stack:
        model = open_customised(stack, base, parts)
        made: list[Image.Image] = []
        for name in names:
            config = SamplingConfig(
                num_inference_steps=DEFAULT_STEPS, sampler=DEFAULT_SAMPLER, prompt=name
            )
            made += model.sample("prompt", SEEDS, config)
        return made


def write(
    out: Path,
    base: BaseModel,
    true: Sequence[Image.Image],
    names: Sequence[str],
    drawn: dict[str, list[Image.Image]],
) -> None:
    """Write the table, the figures and the sheet.

    Args:
        names: of the true pictures, in their order, then others.
    """
    clip = open_clip(base)
    texts = clip.embed_texts(names)
    judges = [open_extractor(ref, base, STARTER_DIR) for ref in ("base", "base-quarters")]
    references = [Reference(judge, judge.embed(true)) for judge in judges]
    rows = []
    for title, made in {"the true pictures": list(true), **drawn}.items():
        likeness = clip.embed_images(to_tensor(made)) @ texts.T
        own = torch.arange(len(true)).repeat_interleave(len(made) // len(true))
        is_nearer = likeness > likeness.gather(1, own[:, None])
        named = float((is_nearer.sum(dim=1) < NEAREST).float().mean())
        whole, quarters = (
            measure(reference, reference.extractor.embed(made), ["kid"])["kid"]
            for reference in references
        )
        rows.append(Row(title, named, whole.value, whole.std or 0.0, quarters.value))
    lines = [f"| {len(true)} names held back | named | KID | quarters |", "|---|---:|---:|---:|"]
    lines += [
        f"| {r.name} | {r.named:.2f} | {r.kid:.0f} ± {r.kid_error:.0f} | {r.kid_quarters:.0f} |"
        for r in rows
    ]
    (out / "table.md").write_text("\n".join([*lines, ""]), encoding="utf-8")
    document = json.dumps([asdict(row) for row in rows], indent=1)
    (out / "figures.json").write_text(document + "\n", encoding="utf-8")
    shown = [true, *(made[:: len(SEEDS)] for made in drawn.values())]
    sheet_of(shown, len(true)).save(out / "sheet.webp", "WEBP", quality=85)


def _train(command: Commands, files: Sequence[Path], folder: Path) -> str:
    """Train the style on what is not held back, unless that was done before: its SHA-256."""
    begin_project(command, files, folder, PROJECT)
    if "lora" not in command.run("project", "show", "1")["artifacts"]:
        command.run("train", "1", "lora", "--wait")
    rows = command.run("artifact", "list", "1")["artifacts"]
    return next(row["sha256"] for row in rows if row["is_in_use"] and row["kind"] == "lora")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path, help="folder of pictures named after what they show")
    parser.add_argument("--out", type=Path, required=True)
    return parser


if __name__ == "__main__":
    main()
