"""Small pieces of HTML. Every text that comes from a person or a file is escaped here."""

import base64
import io
from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape
from pathlib import Path

from PIL import Image

from dyod_studio.services.views import GenerationView, ImportReport

KIND_NAMES = {
    "prompt": "from the word",
    "distribution": "new picture",
    "image": "from a sketch",
    "interpolation": "between two",
    "traversal": "one trait",
}
MAX_LISTED = 50


def counted(number: int, noun: str) -> str:
    """'1 picture', '3 pictures'."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def note(text: str, kind: str = "hint") -> str:
    """A paragraph in a quiet box; ``kind`` is hint, good or bad."""
    return f'<div class="note note-{kind}">{escape(text)}</div>'


def heading(title: str, sub: str) -> str:
    return f'<div class="heading"><h2>{escape(title)}</h2><p>{escape(sub)}</p></div>'


def empty(title: str, text: str, *, label: str = "", screen: str = "") -> str:
    """An empty place: what will be here, and the one button that leads on to it."""
    on = f'<button type="button" class="press press-on" data-go="{screen}">{escape(label)}</button>'
    return (
        f'<div class="empty"><h3>{escape(title)}</h3><p>{escape(text)}</p>'
        f"{on if screen else ''}</div>"
    )


def import_report(report: ImportReport) -> str:
    """Report on what was added, what repeats, what cannot be used and why, each by its name."""
    parts = [note(f"{counted(report.accepted, 'picture')} added.", "good")]
    if report.accepted == 0:
        parts = [note("No new picture was added.", "hint")]
    parts += _listed(
        f"{counted(len(report.rejected), 'file')} could not be used",
        [(entry.file, entry.reason) for entry in report.rejected],
        is_open=True,
    )
    parts += _listed(
        f"{counted(len(report.duplicates), 'repetition')} left out",
        [(entry.file, f"repeats {entry.of}") for entry in report.duplicates],
        is_open=False,
    )
    return "".join(parts)


def _listed(title: str, rows: Sequence[tuple[str, str]], *, is_open: bool) -> list[str]:
    if not rows:
        return []
    items = [
        f"<li><b>{escape(name)}</b> <span>{escape(text)}</span></li>"
        for name, text in rows[:MAX_LISTED]
    ]
    if len(rows) > MAX_LISTED:
        items.append(f"<li>and {len(rows) - MAX_LISTED:,} more</li>")
    opened = " open" if is_open else ""
    return [
        f'<details class="report"{opened}><summary>{escape(title)}</summary>'
        f"<ul>{''.join(items)}</ul></details>"
    ]


def parameter_table(view: GenerationView) -> str:
    """Everything that is needed to make this picture again."""
    rows: dict[str, object] = {
        "how": kind_name(view),
        "made": f"{view.created_at:%Y-%m-%d %H:%M} UTC",
        "size": f"{view.width} x {view.height}",
        **view.parameters,
        "seed": view.seed,
        "sha256": view.sha256,
    }
    return f'<table class="facts">{_rows(rows)}</table>'


def _rows(values: Mapping[str, object]) -> str:
    return "".join(
        f"<tr><th>{escape(name.replace('_', ' '))}</th><td>{escape(_format_value(value))}</td></tr>"
        for name, value in values.items()
        if value not in (None, {}, [])
    )


def _format_value(value: object) -> str:
    """A parameter's value; of a mapping's long hashes only the beginning."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {str(item)[:8]}" for name, item in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def kind_name(view: GenerationView) -> str:
    return KIND_NAMES.get(view.kind, view.kind)


def data_uri(path: Path, side_px: int) -> str:
    """The picture at most ``side_px`` wide and high.

    Raises:
        FileNotFoundError: it has been cleared away meanwhile.
    """
    return _data_uri(path, path.stat().st_mtime_ns, side_px)


@lru_cache(maxsize=1024)
def _data_uri(path: Path, changed_ns: int, side_px: int) -> str:
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((side_px, side_px))
    file = io.BytesIO()
    small.save(file, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
