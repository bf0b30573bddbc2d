"""The measurement of what follows lines, on a tiny base: every way is drawn, tabled and shown."""

import json

import pytest
from PIL import Image, ImageDraw

from dyod_studio.models.control import new_control
from dyod_studio.models.customised import CustomisedModel
from tools.lines_lead import WAYS, draw, held_back, write


@pytest.fixture
def shape():
    """The shape that brings a CLIP."""
    return "starter"


def test_every_way_is_drawn_and_stands_in_the_table_and_the_sheet(base, tmp_path, monkeypatch):
    monkeypatch.setattr("tools.lines_lead.STEPS", 2)
    paths = [tmp_path / "a-cat.png", tmp_path / "a-dog.png"]
    for path, colour in zip(paths, ("gold", "teal"), strict=True):
        picture = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(picture).ellipse([10, 10, 54, 54], fill=colour)
        picture.save(path)
    own, other = (held_back(path, base) for path in paths)
    assert own.words == "a cat"
    assert own.drawing.getextrema()[0][0] < 64
    model = CustomisedModel(base, control=new_control(base, "controlnet", 0))
    drawn = {way.name: [draw(model, way, 1, own, other)] * 2 for way in WAYS}
    write(tmp_path, base, [own, other], drawn)
    rows = json.loads((tmp_path / "figures.json").read_text())
    assert [row["name"] for row in rows] == ["through the autoencoder", *drawn]
    assert all(0 <= row["edges"] <= 1.001 for row in rows)
    assert len((tmp_path / "table.md").read_text().splitlines()) == 2 + len(rows)
    with Image.open(tmp_path / "sheet.webp") as sheet:
        assert sheet.height == 96 * (2 + len(WAYS))
