"""Grids: one picture made for every value of an axis, or for every pair of values of two."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.sampling import SampleRequest
from dyod_studio.services.views import GenerationView

MAX_CELLS = 64
STRIP_T0 = (0.2, 0.35, 0.5, 0.65, 0.8)
"""The values of the strip that one press makes."""

SETTINGS = {
    "t0": "t0",
    "mask-rate": "mask_rate",
    "guidance": "guidance_scale",
    "seed": "seed",
    "parts": "use",
}
"""What can be an axis, and the setting that it changes."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: its name and, for each place on it, the setting's value."""

    name: str
    values: tuple[Any, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the values, in their order."""
        return tuple(f"{self.name.replace('-', ' ')} {_label(value)}" for value in self.values)


@dataclass(frozen=True, slots=True)
class Grid:
    """``request`` with one or two of them varied; ``x`` runs from left to right, ``y`` down."""

    request: SampleRequest
    x: Axis
    y: Axis | None = None

    def __post_init__(self) -> None:
        if self.y is not None and self.y.name == self.x.name:
            raise InvalidInputError(f"A grid has two different axes, got {self.x.name} twice.")
        count = len(self.x.values) * (len(self.y.values) if self.y else 1)
        if count > MAX_CELLS:
            raise InvalidInputError(f"A grid has at most {MAX_CELLS} pictures, got {count}.")

    def cells(self, seed: int) -> list[SampleRequest]:
        """The request of each picture, row by row.

        Args:
            seed: of every picture, unless the seed is an axis.
        """
        common = self.request.replace(seed=seed, num_images=1)
        rows = self.y.values if self.y else (None,)
        return [
            common.replace(**_changed(self.y, down), **_changed(self.x, across))
            for down, across in product(rows, self.x.values)
        ]


@dataclass(frozen=True, slots=True)
class GridView:
    """Pictures of a grid, row by row."""

    views: tuple[GenerationView, ...]
    x: Axis
    y: Axis | None

    @property
    def captions(self) -> list[str]:
        """For each picture what is particular about it."""
        rows = [f"{label} · " for label in self.y.labels] if self.y else [""]
        return [f"{row}{column}" for row, column in product(rows, self.x.labels)]


def read_axis(text: str) -> Axis:
    """``t0=0.3,0.5`` as an axis; parts are joined by +, ``none`` stands for no part at all.

    Raises:
        InvalidInputError: no such axis, or a value that is none of its kind.
    """
    name, equals, values = text.partition("=")
    name = name.strip()
    if not equals:
        raise InvalidInputError(f"An axis is written name=value,value, got {text!r}.")
    return axis_of(name, values.split(","))


def axis_of(name: str, values: Sequence[str]) -> Axis:
    """An axis from what was typed for each of its places; blank entries are left out."""
    if name not in SETTINGS:
        known = ", ".join(SETTINGS)
        raise InvalidInputError(f"An axis is one of {known}, got {name!r}.")
    typed = [value.strip() for value in values if value.strip()]
    if not typed:
        raise InvalidInputError(f"The axis {name} has no values: write them as 0.3, 0.5, 0.7.")
    return Axis(name, tuple(_READERS[name](name, value) for value in typed))


def _changed(axis: Axis | None, value: Any) -> dict[str, Any]:
    return {} if axis is None else {SETTINGS[axis.name]: value}


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as exc:
        raise InvalidInputError(f"{name} takes numbers, got {value!r}.") from exc


def _whole(name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal()):
        raise InvalidInputError(f"{name} takes whole numbers, got {value!r}.")
    return int(value)


def _parts(name: str, value: str) -> tuple[str, ...]:
    return () if value == "none" else tuple(kind.strip() for kind in value.split("+"))


_READERS: dict[str, Callable[[str, str], Any]] = {
    "t0": _number,
    "mask-rate": _number,
    "guidance": _number,
    "seed": _whole,
    "parts": _parts,
}


def _label(value: Any) -> str:
    if isinstance(value, tuple):
        return " + ".join(value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


GAP_PX = 12
LABEL_PX = 22
"""Height of a written line."""
LEAST_CELL_PX, MOST_CELL_PX = 160, 512
"""Pictures are shown at their size within these bounds, so that labels and faces can be read."""
INK, PAPER = "#1c1917", "white"


def write_sheet(grid: GridView, path: Path) -> Path:
    """Write the sheet of a grid as a PNG file; the same pictures give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_sheet(grid).save(path, "PNG")
    return path


def draw_sheet(grid: GridView) -> Image.Image:
    """The pictures in rows and columns; labels above the columns and left of the rows."""
    side = min(max(grid.views[0].width, LEAST_CELL_PX), MOST_CELL_PX)
    font = ImageFont.load_default(size=15)
    columns, rows = grid.x.labels, grid.y.labels if grid.y else ()
    left = GAP_PX + (max(_width(font, row) for row in rows) + GAP_PX if rows else 0)
    top = GAP_PX + LABEL_PX
    cell = side + GAP_PX
    cell_width = max(cell, *(_width(font, label) + GAP_PX for label in columns))
    size = (left + cell_width * len(columns), top + cell * max(1, len(rows)))
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, label in enumerate(columns):
        pen.text((left + number * cell_width, GAP_PX), label, INK, font)
    for number, label in enumerate(rows):
        middle = top + number * cell + side // 2 - LABEL_PX // 2
        pen.text((GAP_PX, middle), label, INK, font)
    for index, picture in enumerate(_pictures([view.file for view in grid.views], side)):
        row, column = divmod(index, len(columns))
        sheet.paste(picture, (left + column * cell_width, top + row * cell))
    return sheet


def _pictures(files: Sequence[Path], side: int) -> list[Image.Image]:
    found = []
    for file in files:
        with Image.open(file) as image:
            found.append(image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS))
    return found


def _width(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str) -> int:
    return round(font.getlength(text))
