"""Run the whole main job from the command line and say what it costs.

``python -m tools.main_job PICTURES --out DIR`` makes a project from a folder in a storage of its
own, trains its style and its shapes with their defaults, samples from all three initialisations,
interpolates and traverses; then writes times, peak memory, a sheet of the pictures, and with
``--judge`` how far new pictures are from the set.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from PIL import Image, ImageDraw

from dyod_studio.evaluation.distances import kid
from dyod_studio.models.base import to_tensor
from dyod_studio.models.clip import load_clip
from dyod_studio.requests.part_kinds import usual_methods

SKETCH_SIDE = 256
CELL = 128
ROW = 8


@dataclass(frozen=True, slots=True)
class Cost:
    """One command: wall seconds, and the highest sum of resident memory of its processes in MB."""

    name: str
    seconds: float
    peak_mb: float


class MainJob:
    """The commands of the main job, one after the other, each measured."""

    def __init__(self, storage: Path, out: Path) -> None:
        self._storage, self._out = storage, out
        self.costs: list[Cost] = []
        self.rows: list[tuple[str, list[Path]]] = []

    def run(self, name: str, *arguments: object) -> dict[str, object]:
        """Run one command and return its JSON document."""
        command = [sys.executable, "-m", "dyod_studio", "--storage", str(self._storage), "--json"]
        started = time.perf_counter()
        process = subprocess.Popen(
            [*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        peak = _PeakMemory(process.pid)
        output, _ = process.communicate()
        seconds = time.perf_counter() - started
        if process.returncode:
            raise SystemExit(f"{name} failed: {output.decode()}")
        self.costs.append(Cost(name, seconds, peak.stop()))
        print(f"{name:32s} {seconds:7.1f} s {self.costs[-1].peak_mb:7.0f} MB", flush=True)
        return json.loads(output)

    def draw(self, title: str, *arguments: object) -> None:
        """Run a command that makes pictures and keep them for the sheet."""
        document = self.run(title, *arguments, "--out", self._out / title.replace(" ", "-"))
        images = document["images"]
        assert isinstance(images, list)
        self.rows.append((title, [Path(image["file"]) for image in images]))


class _PeakMemory:
    """Watches a process and its children."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak_mb = pid, 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        self._ended.set()
        self._thread.join()
        return self._peak_mb

    def _watch(self) -> None:
        while not self._ended.wait(0.2):
            self._peak_mb = max(self._peak_mb, _resident_mb(self._pid))


def _resident_mb(pid: int) -> float:
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
        return sum(process.memory_info().rss for process in processes) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def run_main_job(
    pictures: Path, out: Path, project: str, base: str, seed: int, prompt: str
) -> MainJob:
    """Everything from the folder to the pictures, with the defaults that a user gets.

    Args:
        prompt: what is drawn from the prompt alone.
    """
    storage = out / "storage"
    job = MainJob(storage, out)
    job.run("project create", "project", "create", project, "--base", base)
    job.run("dataset add", "dataset", "add", project, pictures)
    for method in usual_methods():
        job.run(f"train {method}", "train", project, method, "--wait")
    sketch = _sketch(out / "sketch.png")
    photos = sorted(pictures.rglob("*.png"))
    many = ("--num", ROW, "--seed", seed)
    job.draw("first pictures", "sample", project, "--from", "distribution", "--num", 12)
    said = ("--prompt", prompt) if prompt else ()
    job.draw("from the prompt", "sample", project, "--from", "prompt", *said, *many)
    for t0 in (0.5, 0.7, 0.85):
        start = ("sample", project, "--from", "distribution", "--t0", t0)
        job.draw(f"from the distribution t0 {t0}", *start, *many)
    for t0 in (0.3, 0.5, 0.7):
        drawn = ("sample", project, "--from", "image", "--image", sketch, "--t0", t0)
        job.draw(f"from a sketch t0 {t0}", *drawn, *many)
    ends = ("--a", photos[0], "--b", photos[len(photos) // 2], "--frames", ROW, "--seed", seed)
    job.draw("interpolate", "interpolate", project, *ends)
    walk = ("--coordinate", 0, "--span", 3, "--frames", 7)
    job.draw("traverse", "traverse", project, *walk)
    return job


def measure_kid(job: MainJob, pictures: Path, project: str, judge: Path, num: int) -> None:
    """Print KID x100 of new pictures against the set, by the CLIP of the base in ``judge``."""
    clip = load_clip(judge, judge.name, torch.device("cpu"))
    real = clip.embed_images(_read_all(sorted(pictures.rglob("*.png")))) * clip.width**0.5
    for t0 in (0.5, 0.7, 0.85):
        start = ("sample", project, "--from", "distribution", "--t0", t0, "--num", num, "--seed", 1)
        job.draw(f"{num} new pictures t0 {t0}", *start)
        files = job.rows.pop()[1]
        made = clip.embed_images(_read_all(files)) * clip.width**0.5
        found = kid(made, real)
        print(f"KID x100 at t0 {t0}: {found.mean:.2f} +- {found.std:.2f} (CLIP of {clip.name})")


def _read_all(files: Sequence[Path]) -> torch.Tensor:
    images = [Image.open(file).convert("RGB").resize((CELL, CELL)) for file in files]
    return to_tensor(images)


def _sketch(path: Path) -> Path:
    """A yellow disc with two dots and a line, as somebody would scribble it."""
    image = Image.new("RGB", (SKETCH_SIDE, SKETCH_SIDE), "white")
    pen = ImageDraw.Draw(image)
    pen.ellipse((48, 52, 204, 210), fill="#ffd83b", outline="#222222", width=5)
    pen.ellipse((92, 104, 108, 124), fill="#222222")
    pen.ellipse((146, 100, 162, 120), fill="#222222")
    pen.line((90, 164, 120, 178, 166, 160), fill="#222222", width=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def write_sheet(rows: Sequence[tuple[str, list[Path]]], path: Path) -> None:
    """One row of pictures for each command."""
    sheet = Image.new("RGB", (ROW * CELL, len(rows) * CELL), "white")
    for row, (_, files) in enumerate(rows):
        for column, file in enumerate(files[:ROW]):
            with Image.open(file) as image:
                small = image.convert("RGB").resize((CELL, CELL), Image.Resampling.LANCZOS)
            sheet.paste(small, (column * CELL, row * CELL))
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("pictures", type=Path, help="folder of pictures")
    parser.add_argument("--out", type=Path, required=True, help="empty folder for everything")
    parser.add_argument("--project", default="measured set")
    parser.add_argument("--base", default="starter")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prompt", default="", help="what is drawn from the prompt alone")
    parser.add_argument("--judge", type=Path, help="base model whose CLIP measures KID")
    parser.add_argument("--num", type=int, default=64, help="new pictures for KID")
    options = parser.parse_args()
    job = run_main_job(
        options.pictures,
        options.out,
        options.project,
        options.base,
        options.seed,
        options.prompt,
    )
    write_sheet(job.rows, options.out / "sheet.png")
    total = sum(cost.seconds for cost in job.costs)
    peak = max(cost.peak_mb for cost in job.costs)
    print(f"{'all':32s} {total:7.1f} s {peak:7.0f} MB")
    facts = [{"name": c.name, "seconds": c.seconds, "peak_mb": c.peak_mb} for c in job.costs]
    (options.out / "costs.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
    if options.judge:
        measure_kid(job, options.pictures, options.project, options.judge, options.num)


if __name__ == "__main__":
    main()
