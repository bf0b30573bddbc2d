"""The sets that the papers' tables are reproduced on: made of icons, or a folder of pictures."""

import argparse
import io
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

from tools.starter.packs import read_pack

SIDE_PX = 128
APPLES = ("red-apple", "green-apple")
"""Not ``apple``: in some packs that is a company's sign."""
ORANGES = ("tangerine", "orange")
SHARES = (0.28, 0.42)
"""Least and greatest size of a fruit, as a share of the picture."""
TRIES = 200
FEWEST = 20
"""A class with fewer pictures is left out."""


def apple_orange(icons: Path, folder: Path, num: int, seed: int = 0) -> Path:
    """``num`` pictures of one apple and one orange, each at a random place on white.

    DYOD, sec. 4.1. The two never touch, so that their number can be counted.

    Args:
        icons: a folder of icon packs (``icons.json``) or of PNG files called after the fruits.
    """
    apples, oranges = _icons(icons, APPLES), _icons(icons, ORANGES)
    if not apples or not oranges:
        raise SystemExit(f"{icons} holds no apple or no orange: give a folder with icons of both.")
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for number in range(num):
        path = folder / f"{number:05d}.png"
        picture = _picture(apples, oranges, random)
        if not path.exists():
            picture.save(path)
    return folder


def classes_of_icons(folder: Path, icons: Path | None) -> dict[str, list[Path]]:
    """The pictures of a set by class: its folders, else the packs' categories of their names.

    Args:
        icons: a folder of icon packs with ``metadata.json``, for a set without folders.
    """
    below = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    if below:
        return {path.name: sorted(p for p in path.iterdir() if p.is_file()) for path in below}
    if icons is None:
        raise SystemExit(f"{folder} holds no folders of classes: give --icons to sort by category.")
    known: dict[str, str] = {}
    for pack in sorted(path.parent for path in icons.glob("**/icons.json")):
        known |= read_pack(pack).categories
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.png")):
        if path.stem in known:
            found.setdefault(known[path.stem].lower(), []).append(path)
    return {name: paths for name, paths in found.items() if len(paths) >= FEWEST}


def category(icons: Path, name: str, folder: Path) -> Path:
    """A folder with every icon of one category, on white; what is there already stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for pack in sorted(path.parent for path in icons.glob("**/icons.json")):
        found = read_pack(pack)
        for icon, svg in found.icons.items():
            path = folder / f"{icon}.png"
            if found.categories.get(icon) == name and not path.exists():
                drawn = _render(svg)
                picture = Image.new("RGB", drawn.size, "white")
                picture.paste(drawn, mask=drawn)
                picture.save(path)
    return folder


def sets_of(asked: argparse.Namespace) -> list[tuple[str, Path]]:
    """Apples and oranges where there are icons, then every folder; each with its name."""
    found = []
    if asked.icons is not None:
        folder = asked.work / "sets" / f"apple-orange-{asked.num_real}"
        found.append(("apple-orange", apple_orange(asked.icons, folder, asked.num_real)))
    return found + [(folder.name, folder) for folder in asked.set]


def _picture(
    apples: list[Image.Image], oranges: list[Image.Image], random: np.random.Generator
) -> Image.Image:
    sides = [int(SIDE_PX * random.uniform(*SHARES)) for _ in range(2)]
    icons = [fruit[int(random.integers(len(fruit)))] for fruit in (apples, oranges)]
    for _ in range(TRIES):
        places = [tuple(random.integers(0, SIDE_PX - side + 1, 2)) for side in sides]
        apart = np.subtract(places[0], places[1])
        if apart[0] >= sides[1] or -apart[0] >= sides[0] or apart[1] >= sides[1]:
            break
        if -apart[1] >= sides[0]:
            break
    picture = Image.new("RGB", (SIDE_PX, SIDE_PX), "white")
    for icon, side, (left, top) in zip(icons, sides, places, strict=True):
        small = icon.resize((side, side), Image.Resampling.LANCZOS)
        picture.paste(small, (int(left), int(top)), small)
    return picture


def _icons(folder: Path, names: tuple[str, ...]) -> list[Image.Image]:
    """Every icon of these names, in each pack; two packs are enough to tell."""
    found = []
    for pack in sorted(path.parent for path in folder.glob("**/icons.json")):
        known = read_pack(pack).icons
        found += [_render(known[name]) for name in names if name in known]
    for name in names:
        for path in sorted(folder.glob(f"**/{name}.png")):
            with Image.open(path) as image:
                found.append(image.convert("RGBA"))
    return found


def _render(svg: str) -> Image.Image:
    png = resvg_py.svg_to_bytes(svg_string=svg, width=SIDE_PX, skip_system_fonts=True)
    with Image.open(io.BytesIO(bytes(png))) as image:
        return image.convert("RGBA")
