"""The rendered icons on disk: one memory-mapped RGBA array a pack, with the names beside it.

Shapes: N icons, S pixels a side.
"""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.starter.lines import paint_lines
from tools.starter.names import is_drawable, is_kept
from tools.starter.packs import Pack, Use, read_pack
from tools.starter.render import Pixels, render_icons

SIZE_PX = 128
MOST_PAINTED = 1700
"""Painted icons of one pack, so that line art is not most of what the autoencoder sees."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rendered icons of one pack."""

    pack: Pack
    names: Sequence[str]
    categories: Sequence[str | None]
    pixels: Pixels
    """(N, S, S, 4) straight-alpha RGBA."""


def render_corpus(
    packs: Iterable[Pack], packs_dir: Path, corpus_dir: Path, size_px: int = SIZE_PX
) -> None:
    """Render every kept icon of the packs, once; a pack already on disk is left alone."""
    corpus_dir.mkdir(parents=True, exist_ok=True)
    present = [pack for pack in packs if (packs_dir / pack.key / "icons.json").exists()]
    sets = {pack.key: read_pack(packs_dir / pack.key) for pack in present}
    categories: dict[str, str] = {}
    for icon_set in sets.values():
        categories = icon_set.categories | categories
    for pack in present:
        index_path = corpus_dir / f"{pack.key}.json"
        if index_path.exists():
            continue
        icons = sets[pack.key].icons
        names = [name for name in icons if is_kept(name, icons.keys())]
        svgs = [icons[name] for name in names]
        if pack.is_painted:
            names, svgs = _painted(names, svgs)
        pixels = render_icons(svgs, size_px)
        np.save(corpus_dir / f"{pack.key}.npy", pixels)
        own = sets[pack.key].categories
        rows = [[name, own.get(name) or categories.get(name)] for name in names]
        index_path.write_text(json.dumps(rows))


def _painted(names: Sequence[str], svgs: Sequence[str]) -> tuple[list[str], list[str]]:
    """A bounded, even choice of a pack's stroked icons, painted."""
    stroked = [pair for pair in zip(names, svgs, strict=True) if "stroke-width" in pair[1]]
    chosen = stroked[:: max(1, len(stroked) // MOST_PAINTED)]
    rng = random.Random(0)
    return [name for name, _ in chosen], [paint_lines(svg, rng) for _, svg in chosen]


def open_corpus(packs: Iterable[Pack], corpus_dir: Path) -> list[Sheet]:
    """Open the rendered packs; the pixels stay on disk until they are read."""
    sheets = []
    for pack in packs:
        index_path = corpus_dir / f"{pack.key}.json"
        if not index_path.exists():
            continue
        rows = json.loads(index_path.read_text())
        pixels = np.load(corpus_dir / f"{pack.key}.npy", mmap_mode="r")
        sheets.append(Sheet(pack, [r[0] for r in rows], [r[1] for r in rows], pixels))
    return sheets


def autoencoder_pixels(sheets: Iterable[Sheet], held_out: frozenset[tuple[str, str]]) -> Pixels:
    """All icons that the autoencoder may see, as one (N, S, S, 4) array in memory."""
    parts = []
    for sheet in sheets:
        if sheet.pack.use is not Use.TEST:
            is_seen = [(sheet.pack.key, name) not in held_out for name in sheet.names]
            parts.append(sheet.pixels[np.flatnonzero(is_seen)])
    return np.concatenate(parts)


def drawable(sheets: Iterable[Sheet], use: Use = Use.EVERYTHING) -> list[tuple[Sheet, int]]:
    """(sheet, row) of each icon of a simple thing, in the packs of one use."""
    return [
        (sheet, i)
        for sheet in sheets
        if sheet.pack.use is use
        for i, name in enumerate(sheet.names)
        if is_drawable(name, sheet.categories[i])
    ]
