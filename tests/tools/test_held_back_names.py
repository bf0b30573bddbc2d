"""The measurement of names that were held back, on a tiny base: drawn, tabled and shown."""

import json

import pytest
from PIL import Image, ImageDraw

from tools.held_back_names import SEEDS, draw, square, write


@pytest.fixture
def shape():
    """The shape that brings a CLIP."""
    return "starter"


def test_what_was_drawn_by_name_stands_in_the_table_and_the_sheet(base, tmp_path, monkeypatch):
    monkeypatch.setattr("tools.held_back_names.DEFAULT_STEPS", 2)
    paths = [tmp_path / f"{name}.png" for name in ("cat", "dog", "hen", "cow")]
    for path, colour in zip(paths, ("gold", "teal", "red", "navy"), strict=True):
        picture = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(picture).ellipse([10, 10, 54, 54], fill=colour)
        picture.save(path)
    names = [path.stem for path in paths]
    true = [square(path, base) for path in paths]
    made = draw(base, {}, names)
    assert len(made) == len(names) * len(SEEDS)
    write(tmp_path, base, true, [*names, "shoe"], {"base model alone": made})
    first, second = json.loads((tmp_path / "figures.json").read_text())
    assert (first["name"], second["name"]) == ("the true pictures", "base model alone")
    assert 0 <= second["named"] <= 1
    assert len((tmp_path / "table.md").read_text().splitlines()) == 4
    with Image.open(tmp_path / "sheet.webp") as sheet:
        assert sheet.size == (96 * 4, 96 * 2)
