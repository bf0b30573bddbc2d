"""Measure whether pictures follow the lines of pictures that nobody trained on.

``python -m tools.lines_lead PICTURES --out DIR`` holds back every tenth picture, trains the set's
style and *My lines lead* on the others through the product's own commands, and draws from the
lines of those held back: with and without a word, with another's lines, and as a start alone. It
writes ``table.md``, ``figures.json`` and a sheet. Where it is broken off, the same command goes on.

Edges: how far a picture has its edges where the picture has them that its lines are of. Likeness:
cosine to that picture in the starter's CLIP.
"""

import argparse
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dyod_studio.datasets.images import centre_crop, prepare, read_image
from dyod_studio.datasets.lines import lines_of, mean_agreement
from dyod_studio.jobs.sampler import load_parts
from dyod_studio.models.base import BaseModel, to_pictures, to_tensor
from dyod_studio.models.clip import open_clip
from dyod_studio.models.control import Control, as_hint
from dyod_studio.models.customised import CustomisedModel, SamplingConfig, open_customised
from dyod_studio.models.devices import DtypePolicy
from dyod_studio.models.loading import load_base
from dyod_studio.settings import STARTER_DIR, Settings
from dyod_studio.store.storage import open_storage
from tools.commands import Commands
from tools.held_back import EVERY, begin_project, sheet_of

STEPS = 20
SHOWN = 10
PROJECT = "lines-lead"
METHODS = ("lora", "control")


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A picture that nobody trained on: itself, its name in words, its lines."""

    picture: Image.Image
    words: str
    drawing: Image.Image


@dataclass(frozen=True, slots=True)
class Row:
    """Mean edge agreement and likeness of pictures drawn in one way."""

    name: str
    edges: float
    likeness: float


@dataclass(frozen=True, slots=True)
class Way:
    """Way of drawing: with a picture's name, with whose lines, from the drawing below t0 1."""

    name: str
    has_name: bool = True
    lines: str = "own"
    t0: float = 1.0


WAYS = (
    Way("lines and name"),
    Way("lines alone", has_name=False),
    Way("another's lines, own name", lines="another's"),
    Way("name alone", lines="none"),
    Way("drawing as start, t0 0.5, name", lines="none", t0=0.5),
    Way("drawing as start, t0 0.7, name", lines="none", t0=0.7),
    Way("drawing as start, t0 0.95, name", lines="none", t0=0.95),
)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    files = sorted(path for path in options.pictures.iterdir() if path.is_file())
    storage = options.out / "storage"
    sha256s = _train(Commands(storage), files, options)
    base = load_base("starter", starter_dir=STARTER_DIR, device=torch.device("cpu"),
                     dtype=DtypePolicy())  # fmt: skip
    judged = [held_back(path, base) for path in files[::EVERY]][: options.count]
    with open_storage(storage, Settings(storage=storage).resolved_database_url) as opened:
        parts = load_parts(opened, 1, sha256s)
    drawn: dict[str, list[Image.Image]] = {}
    pairs = list(zip(judged, [*judged[1:], *judged[:1]], strict=True))
    with ExitStack() as stack:
        model = open_customised(stack, base, parts)
        for way in WAYS:
            drawn[way.name] = [draw(model, way, seed, *pair) for seed, pair in enumerate(pairs, 1)]
            print(way.name, flush=True)
    write(options.out, base, judged, drawn)


def draw(
    model: CustomisedModel, way: Way, seed: int, own: HeldBack, other: HeldBack
) -> Image.Image:
    """One picture from the lines of ``own``, or of ``other``."""
    lines = {"own": own.drawing, "another's": other.drawing}.get(way.lines)
    control = None if lines is None else Control(as_hint([lines_of(lines)]))
    words = own.words if way.has_name else ""
    config = SamplingConfig(way.t0, STEPS, None, words, control=control)
    if way.t0 == 1:
        return model.sample("prompt", [seed], config)[0]
    return model.sample("image", [seed], config, images=[own.drawing])[0]


def held_back(path: Path, base: BaseModel) -> HeldBack:
    image = read_image(path)
    picture = prepare(image, centre_crop(image.size), base.resolution)
    lines = 255 * (1 - lines_of(picture))
    drawing = Image.fromarray(lines.astype(np.uint8)).convert("RGB")
    return HeldBack(picture, path.stem.replace("-", " ").replace("_", " "), drawing)


def _train(command: Commands, files: Sequence[Path], options: argparse.Namespace) -> dict[str, str]:
    """Train on what is not held back, unless that was done before: kind -> SHA-256."""
    begin_project(command, files, options.out / "learned", PROJECT)
    for method in METHODS:
        if method not in command.run("project", "show", PROJECT)["artifacts"]:
            steps = () if options.steps is None else ("--set", f"steps={options.steps}")
            command.run("train", PROJECT, method, *(steps if method == "control" else ()), "--wait")
    rows = command.run("artifact", "list", PROJECT)["artifacts"]
    return {row["kind"]: row["sha256"] for row in rows if row["is_in_use"]}


def write(
    out: Path, base: BaseModel, judged: Sequence[HeldBack], drawn: dict[str, list[Image.Image]]
) -> None:
    """Write the table, the figures and the sheet."""
    clip, pictures = open_clip(base), [each.picture for each in judged]
    theirs = clip.embed_images(to_tensor(pictures))
    through = to_pictures(base.decode_latents(base.encode_images(to_tensor(pictures))))
    rows = []
    for name, made in {"through the autoencoder": through, **drawn}.items():
        likeness = float((clip.embed_images(to_tensor(made)) * theirs).sum(dim=1).mean())
        rows.append(Row(name, mean_agreement(made, pictures), likeness))
    lines = [f"| {len(judged)} pictures held back | edges | likeness |", "|---|---:|---:|"]
    lines += [f"| {row.name} | {row.edges:.3f} | {row.likeness:.3f} |" for row in rows]
    (out / "table.md").write_text("\n".join([*lines, ""]), encoding="utf-8")
    document = json.dumps([asdict(row) for row in rows], indent=1)
    (out / "figures.json").write_text(document + "\n", encoding="utf-8")
    shown = [pictures, [each.drawing for each in judged], *drawn.values()]
    sheet_of(shown, SHOWN).save(out / "sheet.webp", "WEBP", quality=85)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path, help="folder of pictures in one style")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, help="updates of the network that follows lines")
    parser.add_argument("--count", type=int, default=20, help="held-back pictures that are judged")
    return parser


if __name__ == "__main__":
    main()
