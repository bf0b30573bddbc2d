"""The lines of a picture, as a control net is trained on them and as a drawing is read.

A line runs where a picture is darker than what lies around it: a stroke of the pencil, the outline
of a figure, the darker side of an edge. Lines are white on black, as published nets for scribbles
read them. R pixels along one side; lengths are given in 128ths of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold
from skimage.morphology import thin

Lines = NDArray[np.float32]
"""(R, R) in [0, 1]."""

UNIT = 128
RATIO = 1.6
"""Of both widths in a difference of Gaussians, where it comes close to a Laplacian."""
STILL_THERE = 2.0
"""How far an edge may be moved and still count as the same."""
SHORTEST = 5.0
"""What is shorter than this is no stroke."""
EVERYWHERE = np.ones((3, 3), dtype=bool)
SMOOTHNESS = 16.0
"""Over how far a hand that wobbles goes on in one direction."""


@dataclass(frozen=True, slots=True)
class LineStyle:
    """How lines are found, and how a hand would have drawn them.

    Args:
        sigma: width of what is compared with what lies around it. faintest: least difference that
            begins a line, in shares of white; half of that goes on with one.
        width: of a line. dropped: share of the strokes that are left out.
        wobble: how far a line is moved from its place, at most.
        corner: side of the corner that is left empty.
    """

    sigma: float = 1.0
    faintest: float = 0.015
    width: float = 2.0
    dropped: float = 0.0
    wobble: float = 0.0
    corner: float = 0.0


AS_DRAWN = LineStyle()
"""How a drawing is read."""


def any_style(random: np.random.Generator) -> LineStyle:
    """A style of those that people draw in: fine or coarse, thin or broad, with gaps."""
    return LineStyle(
        sigma=random.uniform(0.8, 1.3),
        faintest=0.01 * 2 ** random.random(),
        width=random.uniform(1.5, 4.0),
        dropped=random.uniform(0.0, 0.4) * (random.random() < 0.2),
        wobble=random.uniform(0.0, 0.015) * UNIT * (random.random() < 0.5),
        corner=random.uniform(0.2, 0.5) * UNIT * (random.random() < 0.1),
    )


def lines_of(
    picture: Image.Image, style: LineStyle = AS_DRAWN, random: np.random.Generator | None = None
) -> Lines:
    """The lines of a square picture, drawn anew in one width.

    Args:
        random: decides what is dropped and where the hand wobbles; needed for both.
    """
    pixels = _pixels(picture)
    unit = len(pixels) / UNIT
    middle = _middle(pixels, style, unit)
    if random is not None and style.dropped:
        middle = _without_some(middle, style.dropped, random)
    drawn = _drawn(middle, style.width * unit)
    if random is not None and style.wobble:
        drawn = _wobbled(drawn, style.wobble * unit, SMOOTHNESS * unit, random)
    if random is not None and style.corner:
        drawn = _without_corner(drawn, round(style.corner * unit), random)
    return drawn


def edge_agreement(one: Image.Image, other: Image.Image) -> float:
    """How far two pictures of one size have their edges in the same places: at most 1.

    The cosine between the roots of their gradients' lengths, so that a faint edge counts as well,
    blurred so that a small shift does not.
    """
    a, b = (_edges(picture).ravel() for picture in (one, other))
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length else 0.0


def mean_agreement(ones: Sequence[Image.Image], others: Sequence[Image.Image]) -> float:
    """Mean edge agreement of pairs."""
    return float(np.mean([edge_agreement(a, b) for a, b in zip(ones, others, strict=True)]))


def _edges(picture: Image.Image) -> NDArray[np.float32]:
    pixels = _pixels(picture)
    unit = len(pixels) / UNIT
    steps = [ndimage.gaussian_gradient_magnitude(pixels[..., c], unit) for c in range(3)]
    return ndimage.gaussian_filter(np.sqrt(np.max(steps, axis=0)), STILL_THERE * unit)


def _pixels(picture: Image.Image) -> NDArray[np.float32]:
    """(R, R, 3) in [0, 1]."""
    return np.asarray(picture.convert("RGB")).astype(np.float32) / np.float32(255)


def _middle(pixels: NDArray[np.float32], style: LineStyle, unit: float) -> NDArray[np.bool_]:
    """Lines one pixel wide: (R, R)."""
    sigma = style.sigma * unit
    near, far = (
        ndimage.gaussian_filter(pixels, (s, s, 0), mode="nearest") for s in (sigma, RATIO * sigma)
    )
    darker = (far - near).max(axis=-1)
    band = apply_hysteresis_threshold(darker, style.faintest / 2, style.faintest)
    return _long_ones(thin(band), SHORTEST * unit)


def _long_ones(middle: NDArray[np.bool_], shortest: float) -> NDArray[np.bool_]:
    labels, number = ndimage.label(middle, EVERYWHERE)
    lengths = np.bincount(labels.ravel(), minlength=number + 1)
    lengths[0] = 0
    return lengths[labels] >= shortest


def _without_some(
    middle: NDArray[np.bool_], share: float, random: np.random.Generator
) -> NDArray[np.bool_]:
    """Strokes run from one junction or end to the next; each is left out by chance."""
    neighbours = ndimage.convolve(middle.astype(np.uint8), EVERYWHERE.astype(np.uint8)) - 1
    strokes, number = ndimage.label(middle & (neighbours <= 2), EVERYWHERE)
    is_kept = random.random(number + 1) >= share
    is_kept[0] = True
    return middle & is_kept[strokes]


def _drawn(middle: NDArray[np.bool_], width: float) -> Lines:
    if not middle.any():
        return np.zeros(middle.shape, dtype=np.float32)
    away = ndimage.distance_transform_edt(~middle)
    return np.clip(width / 2 + 0.5 - away, 0, 1).astype(np.float32)


def _wobbled(drawn: Lines, most: float, smoothness: float, random: np.random.Generator) -> Lines:
    shape = (2, *drawn.shape)
    moves = ndimage.gaussian_filter(random.standard_normal(shape), (0, smoothness, smoothness))
    moves *= most / max(float(np.abs(moves).max()), 1e-9)
    places = np.indices(drawn.shape) + moves
    return ndimage.map_coordinates(drawn, places, order=1, mode="constant").astype(np.float32)


def _without_corner(drawn: Lines, side: int, random: np.random.Generator) -> Lines:
    kept = drawn.copy()
    rows = slice(0, side) if random.random() < 0.5 else slice(-side, None)
    columns = slice(0, side) if random.random() < 0.5 else slice(-side, None)
    kept[rows, columns] = 0
    return kept
