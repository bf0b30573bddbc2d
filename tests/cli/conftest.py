"""The real command line on a real storage folder, and a tiny base model to train on."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from dyod_studio.cli.main import main
from tests.bases import starter_shaped


@dataclass(frozen=True)
class Answer:
    """What one call of the command line gave back."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


CommandLine = Callable[..., Answer]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return starter_shaped(tmp_path_factory.mktemp("bases") / "tiny")


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> CommandLine:
    """Calls ``--storage tmp_path/storage --json ...`` in this process."""

    def call(*arguments: object, as_json: bool = True) -> Answer:
        options = ["--storage", str(tmp_path / "storage"), *(["--json"] if as_json else [])]
        capfd.readouterr()
        code = main([*options, *(str(argument) for argument in arguments)])
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return call


@pytest.fixture
def cli_process(tmp_path: Path) -> CommandLine:
    """The same in a process of its own."""

    def call(*arguments: object) -> Answer:
        options = ["--storage", str(tmp_path / "storage"), "--json"]
        command = [sys.executable, "-m", "dyod_studio", *options, *map(str, arguments)]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
        return Answer(ran.returncode, ran.stdout, ran.stderr)

    return call


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """A folder of twelve simple pictures, no two of them alike."""
    folder = tmp_path / "toy heads"
    folder.mkdir()
    for index in range(12):
        draw_head(folder / f"head {index}.png", index)
    return folder


def draw_head(path: Path, index: int) -> None:
    """Draw a face whose colours, size and features depend on ``index``."""
    image = Image.new("RGB", (64, 64), "white")
    draw = ImageDraw.Draw(image)
    left, top = 4 + index % 4 * 4, 4 + index // 4 * 6
    colour = (40 + 17 * index, 220 - 15 * index, (90 * index) % 256)
    shapes: Sequence[Callable[..., None]] = (draw.ellipse, draw.rectangle)
    shapes[index % 2]((left, top, left + 30 + index, top + 34), fill=colour)
    draw.ellipse((left + 8, top + 8, left + 13, top + 13 + index % 5), fill="black")
    draw.ellipse((left + 20, top + 8, left + 25, top + 13 + index % 3), fill="black")
    draw.line((left + 8, top + 26, left + 24, top + 20 + index), fill="red", width=1 + index % 3)
    image.save(path)
