"""A contact sheet: the pictures of a grid on one sheet, each axis labelled."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from dyod_studio.studio.sampling.grids import GridView

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
