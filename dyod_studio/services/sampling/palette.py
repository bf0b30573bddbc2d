"""Brushes in the colours of a set: k-means over its pictures, the same each time, made once.

P pixels, K colours. Distances are taken in Oklab (Björn Ottosson, 2020), where they are as large
as they look.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dyod_studio.store.files import WEBP
from dyod_studio.store.projects import PictureRepository
from dyod_studio.store.storage import Storage

INK, PAPER = "#1f2328", "#ffffff"
"""Offered whatever the set holds: a dark line, and white."""
USUAL = (INK, "#d64545", "#f2b134", "#2f9e6e", "#3b73c9", "#8a5cc2", PAPER)
"""The brushes of a project without pictures."""
RECIPE = 1
"""Changes with the way in which the colours are found, so that kept ones are found anew."""
MAX_PICTURES = 120
SIDE_PX = 48
"""Pixels are picked, not averaged: an average of two colours is one that the set does not hold."""
NUM_COLORS = 9
ROUNDS = 20
NEAR = 0.11
"""Colours nearer than this in Oklab count as one."""
RARE = 0.006
"""Colours with a smaller share of the pixels are left out."""

Colors = NDArray[np.float64]
"""(P, 3) or (K, 3) Oklab."""


def palette_of(storage: Storage, project_id: int) -> tuple[str, ...]:
    """The brushes for a project's set as ``#rrggbb``: its ink first, white last.

    White grounds are left aside, or they would take most of the colours.
    """
    with storage.database.session() as session:
        pictures = PictureRepository(session)
        rows = pictures.page(project_id, offset=0, limit=pictures.count(project_id))
    names = sorted(row.thumbnail_sha256 for row in rows)
    if not names:
        return USUAL
    key = hashlib.sha256("\n".join([str(RECIPE), *names]).encode()).hexdigest()[:24]
    kept = storage.cache_dir / "palettes" / f"{key}.json"
    if kept.exists():
        return tuple(json.loads(kept.read_text(encoding="utf-8")))
    spread = names[:: -(-len(names) // MAX_PICTURES)]
    colors = find_colors([storage.files.path(name, WEBP) for name in spread])
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(colors), encoding="utf-8")
    return tuple(colors)


def find_colors(paths: Sequence[Path]) -> list[str]:
    """The colours that stand for these pictures, with ink before and white after them."""
    pixels = np.concatenate([_pixels(path) for path in paths])
    colored = pixels[~_is_paper(pixels)]
    if not len(colored):
        return [INK, PAPER]
    centres, shares = _merged(*_k_means(colored, NUM_COLORS))
    chosen = centres[shares >= RARE]
    dark_enough = chosen[:, 0].min(initial=1.0) < 0.4
    found = [_hex(color) for color in chosen[_in_order(chosen)]]
    return [*([] if dark_enough else [INK]), *found, PAPER]


def _pixels(path: Path) -> Colors:
    with Image.open(path) as image:
        small = image.convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.NEAREST)
    return to_oklab(np.asarray(small, np.float64).reshape(-1, 3) / 255)


def _is_paper(colors: Colors) -> NDArray[np.bool_]:
    chroma = np.hypot(colors[:, 1], colors[:, 2])
    return (colors[:, 0] > 0.95) & (chroma < 0.03)


def _k_means(pixels: Colors, count: int) -> tuple[Colors, NDArray[np.float64]]:
    """K centres and the share of the pixels that is nearest to each; nothing is drawn at random.

    Begins with the pixel nearest to the mean, then always the one farthest from all before.
    """
    first = pixels[np.argmin(((pixels - pixels.mean(axis=0)) ** 2).sum(axis=1))]
    centres = first[None]
    while len(centres) < min(count, len(pixels)):
        farthest = np.argmax(_squares(pixels, centres).min(axis=1))
        centres = np.concatenate([centres, pixels[farthest][None]])
    for _ in range(ROUNDS):
        nearest = _squares(pixels, centres).argmin(axis=1)
        means = [pixels[nearest == k].mean(axis=0) for k in range(len(centres)) if k in nearest]
        centres = np.stack(means)
    nearest = _squares(pixels, centres).argmin(axis=1)
    return centres, np.bincount(nearest, minlength=len(centres)) / len(pixels)


def _merged(centres: Colors, shares: NDArray[np.float64]) -> tuple[Colors, NDArray[np.float64]]:
    """Colours that look alike become the one of them that is seen most."""
    kept: list[int] = []
    total = shares.copy()
    for index in np.argsort(-shares, kind="stable"):
        near = [k for k in kept if np.linalg.norm(centres[k] - centres[index]) < NEAR]
        if near:
            total[near[0]] += shares[index]
        else:
            kept.append(int(index))
    return centres[kept], total[kept]


def _in_order(colors: Colors) -> NDArray[np.int64]:
    """Greys from dark to light, then the colours round the circle."""
    chroma, hue = np.hypot(colors[:, 1], colors[:, 2]), np.arctan2(colors[:, 2], colors[:, 1])
    is_colored = chroma > 0.04
    return np.lexsort((np.where(is_colored, hue, colors[:, 0]), is_colored))


def _squares(pixels: Colors, centres: Colors) -> NDArray[np.float64]:
    """(P, K) squared distances."""
    result: NDArray[np.float64] = ((pixels[:, None] - centres[None]) ** 2).sum(axis=2)
    return result


TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def to_oklab(rgb: Colors) -> Colors:
    """sRGB in [0, 1] -> Oklab."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lab: Colors = np.cbrt(linear @ TO_CONES.T) @ TO_LAB.T
    return lab


def to_srgb(lab: Colors) -> Colors:
    """Oklab -> sRGB, cut to [0, 1]."""
    linear = (lab @ np.linalg.inv(TO_LAB).T) ** 3 @ np.linalg.inv(TO_CONES).T
    linear = linear.clip(0, 1)
    rgb: Colors = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb


def _hex(color: Colors) -> str:
    return "#" + "".join(f"{round(255 * float(c)):02x}" for c in to_srgb(color))
