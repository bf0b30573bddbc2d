"""Table 2 of the ANL paper in small: few labels, with and without pictures of masked sampling.

An ANL learns the whole set without labels; four pictures of each class are labelled, ten new ones
are drawn after each by ``augment``, and classifiers are trained on the four alone and on all.
"""

import argparse
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dyod_studio.models.feature_extractors import open_extractor
from dyod_studio.services.augmentation.plan import AugmentSettings
from dyod_studio.settings import STARTER_DIR
from tools.reproduce.bench import Bench
from tools.reproduce.classifying import (
    Labelled,
    accuracy_on_features,
    accuracy_on_pixels,
    pixels_of,
)
from tools.reproduce.drawing import features_of, own_base, squares_of
from tools.reproduce.pages import markdown_table, write_rows, write_section
from tools.reproduce.sets import classes_of_icons

LABELLED = 4
"""Pictures of each class whose label is known, as in the paper."""
PER_LABEL = 10
"""New pictures after each of them at most, as in the paper; ``--num`` bounds those of a class."""
SEEDS = 5
ANL_STEPS = 1000
SHOWN = 5
Classes = Mapping[str, Sequence[Path]]


@dataclass(frozen=True, slots=True)
class Split:
    """Pictures of each class whose label is known, and those that are asked about."""

    labelled: Classes
    asked: Classes


def run(bench: Bench, asked: argparse.Namespace) -> None:
    """Train an ANL on the set, enlarge each split, and compare the classifiers."""
    folder = asked.set[0]
    classes = classes_of_icons(folder, asked.icons)
    project = bench.project(folder.name, folder)
    bench.train(project.id, "anl", {"steps": round(ANL_STEPS * asked.train)})
    per_class = min(asked.num, LABELLED * PER_LABEL)
    found: dict[str, list[float]] = {}
    strips: list[tuple[str, Sequence[Path | Image.Image]]] = []
    for number in range(asked.splits):
        split = split_of(classes, number)
        root = asked.work / "augmentation" / f"{project.name}-{number}"
        data = put_in_folders(split.labelled, root / "labelled")
        settings = AugmentSettings(
            per_class=per_class,
            data=data,
            out=root / f"new-{per_class}-{asked.steps}-{asked.mask_rate:g}",
            mask_rate=asked.mask_rate,
            num_inference_steps=asked.steps,
            guidance_scale=asked.guidance,
        )
        bench.studio.augmenting.augment(project.id, settings)
        new = {name: sorted((settings.out / name).glob("*.png"))[:per_class] for name in classes}
        if not strips:
            strips = _strips(split.labelled, new)
        for name, numbers in compare(bench, split, new).items():
            found.setdefault(name, []).extend(numbers)
    write_rows(strips, asked.out / "augmentation.webp")
    _write(asked, classes, per_class, found)


def split_of(classes: Classes, seed: int) -> Split:
    """Which pictures are labelled, by chance; all others are asked about."""
    random = np.random.default_rng(seed)
    labelled, asked = {}, {}
    for name, paths in classes.items():
        if len(paths) < 2 * LABELLED:
            raise SystemExit(f"Class {name!r} has {len(paths)} pictures: {2 * LABELLED} are few.")
        order = [paths[place] for place in random.permutation(len(paths))]
        labelled[name], asked[name] = order[:LABELLED], order[LABELLED:]
    return Split(labelled, asked)


def put_in_folders(classes: Classes, root: Path) -> Path:
    """Copies in a folder for each class, as ``augment`` reads them."""
    for name, paths in classes.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for path in paths:
            shutil.copyfile(path, root / name / path.name)
    return root


def compare(bench: Bench, split: Split, new: Classes) -> dict[str, list[float]]:
    """Accuracies of each classifier on the labelled alone and with the new ones, seed by seed."""
    names = list(split.labelled)
    both = {name: [*split.labelled[name], *new[name]] for name in names}
    base = own_base(bench)
    embed = open_extractor("base", base, STARTER_DIR).embed
    ways: tuple[tuple[str, Callable[[Sequence[Image.Image]], Tensor], Any], ...] = (
        ("network on pixels", pixels_of, accuracy_on_pixels),
        ("line on CLIP features", lambda images: features_of(embed, images), accuracy_on_features),
    )
    found: dict[str, list[float]] = {}
    for title, read, accuracy in ways:
        few, many, test = (
            _tensors(classes, read, base.resolution)
            for classes in (split.labelled, both, split.asked)
        )
        for name, train in (("", few), (" + augmentation", many)):
            found[title + name] = [accuracy(train, test, len(names), seed) for seed in range(SEEDS)]
    return found


def _tensors(
    classes: Classes, read: Callable[[Sequence[Image.Image]], Tensor], side: int
) -> Labelled:
    images = [image for paths in classes.values() for image in squares_of(paths, side)]
    numbers = [number for number, paths in enumerate(classes.values()) for _ in paths]
    return read(images), torch.tensor(numbers)


def told(found: Mapping[str, Sequence[float]]) -> tuple[list[tuple[str, ...]], dict[str, Any]]:
    """Rows of the table, and the facts: means, deviations, and the gain pair by pair."""
    rows: list[tuple[str, ...]] = []
    facts: dict[str, Any] = {}
    for name, numbers in found.items():
        mean, std = 100 * fmean(numbers), 100 * pstdev(numbers)
        facts[name] = {"mean": mean, "std": std}
        gain = "-"
        few = found.get(name.removesuffix(" + augmentation"))
        if few is not numbers and few is not None:
            apart = [100 * (many - one) for many, one in zip(numbers, few, strict=True)]
            error = pstdev(apart) / len(apart) ** 0.5
            facts[name] |= {"gain": fmean(apart), "gain_error": error}
            gain = f"{fmean(apart):+.1f} ± {error:.1f}"
        rows.append((name, f"{mean:.1f} ± {std:.1f}", gain))
    return rows, facts


def _write(
    asked: argparse.Namespace, classes: Classes, per_class: int, found: dict[str, list[float]]
) -> None:
    rows, facts = told(found)
    gains = [fact["gain"] for fact in facts.values() if "gain" in fact]
    shape = "as in the paper" if min(gains) > 0 else "NOT the paper's shape"
    steps = round(ANL_STEPS * asked.train)
    named = ", ".join(f"{len(paths)} {name}" for name, paths in classes.items())
    body = (
        f"{asked.set[0].name}: {named}. An ANL learned all of them without labels ({steps} steps); "
        f"{LABELLED} of each class are labelled, {per_class} new ones a class were drawn after "
        f"them at mask rate {asked.mask_rate:g}, {asked.steps} steps. {asked.splits} draws of the "
        f"labelled ones, {SEEDS} seeds each; accuracy in % on all others, ± deviation; the gain "
        f"pair by pair, ± standard error.\n\n"
        f"{markdown_table(('', 'accuracy', 'gain'), rows)}\n\nWith the new pictures accuracy "
        f"changes by {', '.join(f'{gain:+.1f}' for gain in gains)} points: {shape}.\n\n"
        f"![labelled pictures and new ones]({asked.out.name}/augmentation.webp)"
    )
    write_section(asked.out, "augmentation", "Table 2 of the ANL paper, in small", body, facts)


def _strips(labelled: Classes, new: Classes) -> list[tuple[str, Sequence[Path | Image.Image]]]:
    rows: list[tuple[str, Sequence[Path | Image.Image]]] = []
    for name in labelled:
        rows += [(name, list(labelled[name])), ("... new ones", list(new[name][:SHOWN]))]
    return rows
