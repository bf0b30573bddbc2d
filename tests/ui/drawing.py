"""Little pictures for tests of the page."""

import colorsys
from pathlib import Path

from PIL import Image, ImageDraw


def draw_picture(path: Path, hue: float, side: int = 128) -> Path:
    """A little face, unlike any other of another hue."""
    colour = tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue % 1, 0.6, 0.9))
    image = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(image)
    pen.ellipse((side // 8, side // 8, side * 7 // 8, side * 7 // 8), fill=colour)
    for x in (0.35, 0.6):
        pen.ellipse((side * x, side * 0.4, side * (x + 0.07), side * 0.5), fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path
