"""What a reproduction leaves: JSON, plots, strips, and its section of ``docs/reproduction.md``."""

import json
import platform
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import torch
from PIL import Image, ImageDraw

from dyod_studio.evaluation.results import PointResult
from dyod_studio.services.evaluation.plot import plot_of, svg_of
from dyod_studio.services.evaluation.views import EvaluationView

THUMBNAIL_PX = 72
LABEL_PX = 150
PLOT_STYLE = (
    "<style>text{fill:#78716c;font:12px sans-serif}.grid{stroke:#d6d3d1}"
    ".course,.bar{stroke:#0f766e}.course{stroke-width:2.5}circle{fill:#0f766e}"
    ".baseline{stroke:#b45309;stroke-dasharray:6 5}.chosen{stroke:#99d5cd;stroke-width:8}</style>"
)
HEAD = """# The papers' tables, on the starter

Each section is written by the command that it names, and can be written again: the starter is a
small model of icons, so the *shapes* of the tables are what is compared, not their numbers. All
figures are measured with the starter's own small CLIP unless a section says otherwise.
"""


def write_section(out: Path, name: str, title: str, body: str, facts: dict[str, Any]) -> None:
    """Put one section into ``reproduction.md`` beside the folder ``out``, and its JSON into it."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps({**facts, "made": origin()}, indent=1) + "\n")
    page = out.parent / "reproduction.md"
    text = page.read_text(encoding="utf-8") if page.exists() else HEAD
    section = f"<!-- {name} -->\n## {title}\n\n{body.strip()}\n\n{_made()}\n<!-- /{name} -->\n"
    found = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->\n", re.DOTALL)
    if found.search(text):
        text = found.sub(lambda _: section, text)
    else:
        text = f"{text.rstrip()}\n\n{section}"
    page.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{section}\n")


def origin() -> dict[str, str]:
    """Who made it: command, device, date, versions; not where it was written, names of folders."""
    cards = [torch.cuda.get_device_name(0)] if torch.cuda.is_available() else []
    device = cards[0] if cards else f"{psutil.cpu_count()} CPU cores ({platform.machine()})"
    pairs = zip(["", *sys.argv[1:]], sys.argv[1:], strict=False)
    elsewhere = ("--work", "--out")
    words = [
        Path(word).name if Path(word).is_absolute() else word
        for before, word in pairs
        if word not in elsewhere and before not in elsewhere
    ]
    return {
        "command": f"python -m tools.reproduce {' '.join(words)}",
        "device": device,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "torch": torch.__version__,
    }


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns with bars between them."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def write_plot(view: EvaluationView, metric: str, path: Path, extractor: str | None = None) -> Path:
    """The curve of a figure as a file that any page can show; of the first extractor by default."""
    svg = svg_of(plot_of(view, metric, extractor or view.extractors[0]))
    sized = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" width="720" ', 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(re.sub(r"(<svg [^>]*>)", rf"\1{PLOT_STYLE}", sized, count=1), encoding="utf-8")
    return path


def write_strips(points: Sequence[PointResult], path: Path) -> Path:
    """The same seeds at each point, a row each under its name."""
    rows = [(point.name, [point.folder / file for file in point.strip]) for point in points]
    return write_rows(rows, path)


def write_rows(rows: Sequence[tuple[str, Sequence[Path | Image.Image]]], path: Path) -> Path:
    """Pictures in named rows, as one small WebP."""
    width = LABEL_PX + THUMBNAIL_PX * max(len(pictures) for _, pictures in rows)
    sheet = Image.new("RGB", (width, THUMBNAIL_PX * len(rows)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (name, pictures) in enumerate(rows):
        draw.text((6, row * THUMBNAIL_PX + THUMBNAIL_PX // 2 - 6), name, fill="#57534e")
        for column, picture in enumerate(pictures):
            image = Image.open(picture) if isinstance(picture, Path) else picture
            small = image.convert("RGB").resize((THUMBNAIL_PX, THUMBNAIL_PX))
            sheet.paste(small, (LABEL_PX + column * THUMBNAIL_PX, row * THUMBNAIL_PX))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, "WEBP", quality=82)
    return path


def _made() -> str:
    told = origin()
    return f"*`{told['command']}` on {told['device']}, {told['date']}, torch {told['torch']}.*"
