"""Ground that measurements on held-back pictures share: a project of the others, and a sheet."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from tools.commands import Commands

EVERY = 10
"""One picture of so many is held back, the first of each."""
CELL = 96


def begin_project(command: Commands, files: Sequence[Path], folder: Path, name: str) -> None:
    """Make the project of what is not held back, unless the storage has one already.

    Args:
        folder: gets copies of the pictures that are learned.
    """
    if command.run("project", "list")["projects"]:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(files):
        if number % EVERY:
            shutil.copyfile(path, folder / path.name)
    command.run("project", "create", name, "--base", "starter")
    command.run("dataset", "add", name, folder)


def sheet_of(rows: Sequence[Sequence[Image.Image]], width: int) -> Image.Image:
    """Rows of pictures below each other, the first ``width`` of each."""
    sheet = Image.new("RGB", (CELL * width, CELL * len(rows)), "white")
    for line, images in enumerate(rows):
        for place, image in enumerate(images[:width]):
            sheet.paste(image.resize((CELL, CELL)), (place * CELL, line * CELL))
    return sheet
