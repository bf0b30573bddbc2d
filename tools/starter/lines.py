"""Painted line art: icons of mere strokes get thin dark lines and flat fills, as outlined art has.

The autoencoder learns thin outlines from them; nothing else sees them.
"""

import random
import re

_SHAPE = re.compile(r"<(path|circle|rect|ellipse|polygon|polyline)\b([^>]*?)(/?)>")
_FILL = re.compile(r'\bfill="[^"]*"')
_WIDTH = re.compile(r'stroke-width="[\d.]+"')
_FILL_SHARE = 0.6
_DARK_SHARE = 0.8
_LINE_WIDTHS = (0.45, 1.3)
"""Of a 24 units wide icon: 2.4 to 7 of 128 pixels."""


def paint_lines(svg: str, rng: random.Random) -> str:
    """The same icon with lines of another width and colour, and most of its shapes filled."""
    line = "#000000" if rng.random() < _DARK_SHARE else _colour(rng)
    palette = [_colour(rng) for _ in range(3)]

    def filled(match: re.Match[str]) -> str:
        kind, attributes, end = match.groups()
        colour = rng.choice(palette) if rng.random() < _FILL_SHARE else "none"
        kept = _FILL.sub("", attributes)
        return f'<{kind} fill="{colour}"{kept}{end}>'

    width = f'stroke-width="{rng.uniform(*_LINE_WIDTHS):.2f}"'
    return _SHAPE.sub(filled, _WIDTH.sub(width, svg)).replace("currentColor", line)


def _colour(rng: random.Random) -> str:
    return f"#{rng.randrange(256):02x}{rng.randrange(256):02x}{rng.randrange(256):02x}"
