"""Pictures out of the studio: copies with clear names, and what programs are told of them."""

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from tqdm import tqdm

from dyod_studio.cli.session import check_writable
from dyod_studio.requests.sampling import SamplingProgress
from dyod_studio.services.explore.animation import DEFAULT_FPS, WRITERS, check_name, there_and_back
from dyod_studio.services.views import GenerationView, JobView, to_json

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


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of a command; ``exit_code`` is 0 unless the work itself failed."""

    document: Any
    text: str
    exit_code: int = 0

    def write(self, stream: TextIO, *, as_json: bool) -> None:
        """Write the document or the text, in characters that the stream can show."""
        text = json.dumps(to_json(self.document), indent=2) if as_json else self.text
        encoding = stream.encoding or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as their widest cell, left aligned, two spaces apart."""
    cells = [list(titles), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(titles))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join(lines)


def plural(count: int, noun: str) -> str:
    """``1 picture``, ``2 pictures``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


Gif = Annotated[Path | None, typer.Option(metavar="FILE.gif", help="Also write an endless GIF.")]
Mp4 = Annotated[Path | None, typer.Option(metavar="FILE.mp4", help="Also write a video (H.264).")]
Sprite = Annotated[
    Path | None,
    typer.Option(metavar="FILE.png", help="Also write all frames in one PNG, with a JSON beside."),
]
Fps = Annotated[float, typer.Option(help="Frames a second of what moves.")]
Back = Annotated[bool, typer.Option("--back", help="Let GIF and video go there and back again.")]
FPS = DEFAULT_FPS


def check_moving(gif: Path | None, mp4: Path | None, sprite: Path | None) -> dict[str, Path]:
    """Form of what shall be written; refused before anything is drawn when it cannot be."""
    given = {"gif": gif, "mp4": mp4, "sprite": sprite}
    targets = {form: path for form, path in given.items() if path is not None}
    for form, path in targets.items():
        check_name(path, form)
        check_writable(path.parent, option=f"--{form}")
    return targets


def write_moving(reply: Reply, targets: dict[str, Path], fps: float, *, is_back: bool) -> Reply:
    """Write the pictures of a reply as was asked for, and say so in it."""
    files = [Path(image["file"]) for image in reply.document["images"]]
    for form, out in targets.items():
        goes_back = is_back and form != "sprite"
        WRITERS[form](there_and_back(files) if goes_back else files, out, fps=fps)
    text = "\n".join([reply.text, *(str(out) for out in targets.values())])
    return Reply({**reply.document, **targets}, text)


AFTER_S = 0.3
"""Seconds before a bar is drawn: what is refused at once gets its sentence alone."""


@contextmanager
def counted(title: str, *, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar that is told how many of how many are done; the total may be unknown."""
    with tqdm(desc=title, unit=unit, file=sys.stderr, mininterval=0.5, delay=AFTER_S) as bar:

        def on_progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield on_progress
        bar.refresh()


@contextmanager
def sampling_progress(title: str) -> Iterator[Callable[[SamplingProgress], None]]:
    """A bar over the denoiser calls of a request."""
    with counted(title, unit="step") as on_progress:
        yield lambda progress: on_progress(progress.step, progress.num_steps)


@contextmanager
def training_progress(title: str) -> Iterator[Callable[[JobView], None]]:
    """A bar over the updates of a job, with its loss."""
    with tqdm(desc=title, unit="step", file=sys.stderr, mininterval=0.5, delay=AFTER_S) as bar:

        def on_progress(job: JobView) -> None:
            bar.total = job.num_steps
            bar.set_postfix_str(
                job.state if job.loss is None else f"loss {job.loss:.4f}", refresh=False
            )
            bar.update(job.step - bar.n)

        yield on_progress
        bar.refresh()
