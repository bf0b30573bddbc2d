"""SVG text to pixels. Shapes: N icons, S pixels a side."""

import io
from collections.abc import Callable, Iterable
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import numpy.typing as npt
import resvg_py
from PIL import Image

Pixels = npt.NDArray[np.uint8]


def render_icon(svg: str, size_px: int) -> Pixels:
    """One icon as (S, S, 4) straight-alpha RGBA; an icon that is not square is centred."""
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size_px, skip_system_fonts=True)
    with Image.open(io.BytesIO(bytes(png))) as opened:
        icon = opened.convert("RGBA")
    if icon.size != (size_px, size_px):
        icon.thumbnail((size_px, size_px), Image.Resampling.LANCZOS)
        square = Image.new("RGBA", (size_px, size_px))
        square.paste(icon, ((size_px - icon.width) // 2, (size_px - icon.height) // 2))
        icon = square
    return np.asarray(icon)


def render_icons(svgs: Iterable[str], size_px: int, *, processes: int = 2) -> Pixels:
    """All icons as one (N, S, S, 4) array."""
    jobs = [(svg, size_px) for svg in svgs]
    if processes <= 1 or len(jobs) < 100:
        return np.stack([_render_job(job) for job in jobs])
    with Pool(processes) as pool:
        return np.stack(pool.map(_render_job, jobs, chunksize=25))


def write_pngs(
    icons: dict[str, str], out: Path, size_px: int, *, said: Callable[[str], None]
) -> int:
    """Write the icons on white as RGB files called by their names; returns how many."""
    out.mkdir(parents=True, exist_ok=True)
    for name, svg in icons.items():
        rgba = Image.fromarray(render_icon(svg, size_px))
        white = Image.new("RGBA", rgba.size, "white")
        Image.alpha_composite(white, rgba).convert("RGB").save(out / f"{name}.png")
    said(f"{len(icons)} icons at {size_px} px in {out}")
    return len(icons)


def _render_job(job: tuple[str, int]) -> Pixels:
    return render_icon(*job)
