"""``sample --grid`` and ``sample --region`` on a tiny base, from the shell's point of view."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.cli.conftest import CommandLine

FEW = ("--steps", 3, "--seed", 7)


@pytest.fixture
def project(cli: CommandLine, tiny_base: Path) -> str:
    assert cli("project", "create", "p", "--base", tiny_base).code == 0
    return "p"


@pytest.fixture
def sketch(tmp_path: Path) -> Path:
    path = tmp_path / "sketch.png"
    Image.linear_gradient("L").convert("RGB").rotate(30, fillcolor="red").save(path)
    return path


def test_a_grid_writes_its_pictures_and_one_sheet_the_same_each_time(
    cli: CommandLine, project: str, sketch: Path, tmp_path: Path
):
    command = ("sample", project, "--from", "image", "--image", sketch, *FEW)
    axes = ("--grid", "t0=0.3,0.5,1", "guidance=1,4")
    answer = cli(*command, *axes, "--out", tmp_path / "a")
    assert answer.code == 0, answer.out
    cells = answer.document["images"]
    assert [cell["cell"] for cell in cells][:4] == [
        "guidance 1 · t0 0.3",
        "guidance 1 · t0 0.5",
        "guidance 1 · t0 1",
        "guidance 4 · t0 0.3",
    ]
    assert [(cell["t0"], cell["guidance_scale"]) for cell in cells][4] == (0.5, 4)
    assert len({cell["sha256"] for cell in cells}) == 6
    again = cli(*command, *axes, "--out", tmp_path / "b").document
    assert [cell["sha256"] for cell in again["images"]] == [cell["sha256"] for cell in cells]
    sheets = [Path(path) for path in (answer.document["sheet"], again["sheet"])]
    assert sheets[0].read_bytes() == sheets[1].read_bytes()
    with Image.open(sheets[0]) as sheet:
        assert sheet.width > 3 * 160
        assert sheet.height > 2 * 160
    assert len(list((tmp_path / "a").iterdir())) == 7


def test_a_region_leaves_the_rest_as_it_was_and_a_transparent_mask_counts_as_unmarked(
    cli: CommandLine, project: str, sketch: Path, tmp_path: Path
):
    mask = Image.new("RGBA", (128, 128), (0, 0, 0, 0))
    ImageDraw.Draw(mask).rectangle((64, 0, 127, 127), fill=(255, 40, 40, 255))
    mask.save(tmp_path / "mask.png")
    command = ("sample", project, "--from", "image", "--image", sketch, "--num", 2, *FEW)
    answer = cli(*command, "--region", tmp_path / "mask.png", "--t0", 0.9)
    assert answer.code == 0, answer.out
    with Image.open(sketch) as image:
        before = np.asarray(image.resize((32, 32), Image.Resampling.LANCZOS, reducing_gap=3.0))
    for made in answer.document["images"]:
        assert len(made["region_sha256"]) == 64
        with Image.open(made["file"]) as image:
            after = np.asarray(image)
        assert np.array_equal(after[:, :16], before[:, :16])
        assert not np.array_equal(after[:, 16:], before[:, 16:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--grid", "t0=0.3"), "--grid writes a contact sheet: say where with --out"),
        (("--grid", "size=3", "--out", "x"), "An axis is one of t0, mask-rate"),
        (("--grid", "t0=0.3,9", "--out", "x"), "t0 must lie in [0, 1], got 9"),
        (("--grid", "t0=1", "seed=1", "t0=2", "--out", "x"), "one axis or two, got 3"),
        (("t0=0.5",), "Nothing is known of 't0=0.5': axes follow --grid"),
        (("--region", "gone.png"), "There is no picture 'gone.png'"),
        (("--region", "wide.png"), "The region has 100 x 40 pixels and the picture 256 x 256"),
        (("--region", "black.png"), "The region is empty"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence_and_exit_code_1_or_2(
    cli: CommandLine, project: str, sketch: Path, tmp_path: Path, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (100, 40), 255).save("wide.png")
    Image.new("L", (64, 64), 0).save("black.png")
    answer = cli("sample", project, "--from", "image", "--image", sketch, *FEW, *options)
    assert answer.code == 2
    assert message in answer.document["error"]
    assert cli("gallery", project).document["count"] == 0
