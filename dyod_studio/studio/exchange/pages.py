"""What lies beside exported pictures for people: contact sheets, and one page of all of them."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from string import Template
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from dyod_studio.studio.views import GenerationView

COLUMNS, ROWS = 8, 10
CELL_PX, MARGIN_PX, CAPTION_PX = 160, 12, 18
PAPER, INK = (255, 255, 255), (70, 70, 70)
LEFT_OUT = ("kind", "position", "first_seed", "num_images")
"""Parameters that the page does not repeat."""

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 1200px; padding: 32px 20px; }
h1 { font-size: 26px; margin: 0; } header p { margin: 4px 0 24px; opacity: .7; }
main { display: grid; gap: 16px; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); }
figure { margin: 0; border: 1px solid #8885; border-radius: 10px; overflow: hidden; }
figure img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: #fff; }
figcaption { padding: 8px 12px; font-size: 13px; }
summary { cursor: pointer; } dl { margin: 8px 0 0; overflow-wrap: anywhere; }
dt { opacity: .65; } dd { margin: 0 0 4px; }
</style></head><body>
<header><h1>$title</h1><p>$count. Every file carries its settings: drop it into the gallery of
DYOD Studio to make it again.</p></header>
<main>
$figures
</main></body></html>
""")


def contact_sheets(views: Sequence[GenerationView]) -> Iterator[tuple[str, bytes]]:
    """Sheets of small pictures with their numbers and seeds: (name, PNG)."""
    size = COLUMNS * ROWS
    sheets = [views[first : first + size] for first in range(0, len(views), size)]
    for number, some in enumerate(sheets, start=1):
        name = "contact-sheet.png" if len(sheets) == 1 else f"contact-sheet-{number:03d}.png"
        yield name, _sheet(some)


def _sheet(views: Sequence[GenerationView]) -> bytes:
    columns = min(COLUMNS, len(views))
    rows = -(-len(views) // columns)
    step_x, step_y = CELL_PX + MARGIN_PX, CELL_PX + CAPTION_PX + MARGIN_PX
    sheet = Image.new("RGB", (columns * step_x + MARGIN_PX, rows * step_y + MARGIN_PX), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for place, view in enumerate(views):
        left = MARGIN_PX + place % columns * step_x
        top = MARGIN_PX + place // columns * step_y
        with Image.open(view.thumbnail) as image:
            small = image.convert("RGB")
        small.thumbnail((CELL_PX, CELL_PX), Image.Resampling.LANCZOS)
        sheet.paste(
            small, (left + (CELL_PX - small.width) // 2, top + (CELL_PX - small.height) // 2)
        )
        mark = "* " if view.is_favorite else ""
        caption = f"{mark}{view.id}  seed {view.seed}"
        pen.text((left, top + CELL_PX + 2), caption, fill=INK, font=font)
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def html_page(title: str, rows: Sequence[tuple[str, GenerationView]]) -> bytes:
    """One page of all pictures that needs no other file: (file name, picture) each.

    The small pictures stand in the page itself; each leads to its file where that lies beside it.
    """
    noun = "picture" if len(rows) == 1 else "pictures"
    figures = "\n".join(_figure(name, view) for name, view in rows)
    page = PAGE.substitute(title=escape(title), count=f"{len(rows):,} {noun}", figures=figures)
    return page.encode()


def _figure(name: str, view: GenerationView) -> str:
    data = base64.b64encode(view.thumbnail.read_bytes()).decode()
    facts = {name: value for name, value in view.parameters.items() if name not in LEFT_OUT}
    mark = "♥ " if view.is_favorite else ""
    return (
        f'<figure><a href="{escape(name)}"><img loading="lazy" alt="Picture {view.id}"'
        f' src="data:image/webp;base64,{data}"></a><figcaption><details>'
        f"<summary>{mark}{view.id}, seed {view.seed}</summary>{_facts(facts)}"
        f"</details></figcaption></figure>"
    )


def _facts(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(str(value))}</dd>"
        for name, value in values.items()
        if value not in (None, {}, [], "")
    )
    return f"<dl>{rows}</dl>"
