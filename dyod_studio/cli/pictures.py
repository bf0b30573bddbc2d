"""Pictures out of the studio: copies with clear names, and what programs are told of them."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dyod_studio.studio.views import GenerationView

NUMBERED = re.compile(r"(\d{4,})_seed\d+\.png")


def copy_out(views: Sequence[GenerationView], folder: Path) -> list[Path]:
    """Copy the pictures to ``folder`` as 0001_seed7.png, ...; return their paths in order.

    Earlier pictures are never overwritten: unless they are the same, the numbers go on after them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    taken = [int(m[1]) for p in folder.iterdir() if (m := NUMBERED.fullmatch(p.name))]
    paths = _names(views, folder, first=1)
    if not all(_holds(path, view) for path, view in zip(paths, views, strict=True)):
        paths = _names(views, folder, first=max(taken, default=0) + 1)
    for view, path in zip(views, paths, strict=True):
        shutil.copyfile(view.file, path)
    return paths


def describe(view: GenerationView, file: Path) -> dict[str, Any]:
    """File, seed, sha256 and every parameter that makes the picture again."""
    own = {
        "file": file,
        "seed": view.seed,
        "sha256": view.sha256,
        "id": view.id,
        "kind": view.kind,
        "width": view.width,
        "height": view.height,
    }
    return own | {key: value for key, value in view.parameters.items() if key not in own}


def _names(views: Sequence[GenerationView], folder: Path, *, first: int) -> list[Path]:
    return [
        folder / f"{number:04d}_seed{view.seed}.png" for number, view in enumerate(views, first)
    ]


def _holds(path: Path, view: GenerationView) -> bool:
    return path.is_file() and path.read_bytes() == view.file.read_bytes()
