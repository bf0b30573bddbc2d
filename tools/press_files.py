"""How many files of the package a press of *Make pictures* runs through.

``python -m tools.press_files`` makes a project of the example pictures, trains it for a moment,
lays out the page over a sampler in this very process, presses once to wake the model, and traces
the second press: it prints each file with its functions in the order of the first call, then how
many files there were and how often the control went from one to another. ``--storage FOLDER``
takes the first project there instead.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import gradio as gr
from PIL import Image, ImageDraw

import dyod_studio
from dyod_studio.bootstrap import build_studio
from dyod_studio.jobs.sampler import run_request
from dyod_studio.services.studio import Studio
from dyod_studio.settings import Settings
from dyod_studio.store.storage import open_storage
from dyod_studio.ui.page import build_page

PACKAGE = Path(dyod_studio.__file__).parent
TRAIN = (
    ("project", "create", "Faces"),
    ("dataset", "examples", "Faces"),
    ("train", "Faces", "inversion", "--set", "steps=2"),
    ("train", "Faces", "vae", "--set", "steps=2"),
    ("worker", "--drain"),
)
HANDLER = "on_make"
STEPS = {"studio-steps": 4, "studio-number": 1}


@dataclass
class Trace:
    """Calls of the package's functions: the functions of each file, and the changes of file."""

    functions: dict[str, list[str]] = field(default_factory=dict)
    num_changes: int = 0
    _last: str = ""

    def note(self, frame: FrameType, event: str, _: Any) -> None:
        """A profile function: counts the calls that run code of the package."""
        path = Path(frame.f_code.co_filename)
        if event != "call" or frame.f_code.co_name == "<module>" or PACKAGE not in path.parents:
            return
        name = path.relative_to(PACKAGE).as_posix()
        called = self.functions.setdefault(name, [])
        if frame.f_code.co_qualname not in called:
            called.append(frame.f_code.co_qualname)
        self.num_changes += name != self._last
        self._last = name

    @property
    def num_files(self) -> int:
        return len(self.functions)


@contextmanager
def traced() -> Iterator[Trace]:
    """A trace of this thread, and of all that begin within the block."""
    trace = Trace()
    threading.setprofile(trace.note)
    sys.setprofile(trace.note)
    try:
        yield trace
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def press_of(page: gr.Blocks, project: int, sketch: Path) -> Callable[[], Any]:
    """The handler of *Make pictures*, with every field as it stands and a sketch on the canvas."""
    events = [event for event in page.fns.values() if event.fn]
    (event,) = [
        event
        for event in events
        if getattr(event.fn, "__name__", "") == HANDLER
        and "studio-seed" in {getattr(part, "elem_id", "") for part in event.inputs}
    ]
    drawn = {"path": str(sketch), "orig_name": sketch.name, "meta": {"_type": "gradio.FileData"}}
    states = [part for part in event.inputs if isinstance(part, gr.State)]
    project_state = min(states, key=lambda state: state._id)  # the page makes it first of all
    canvas = {"background": None, "layers": [drawn], "composite": drawn}
    values = {part: STEPS.get(part.elem_id or "", part.value) for part in event.inputs}
    for part in event.inputs:
        if isinstance(part, gr.JSON):
            values[part] = {"canvas": canvas, "region": None}
        elif part is project_state:
            values[part] = project
    handler = event.fn
    assert handler is not None
    return lambda: handler(values, None)


async def _page(studio: Studio, scratch: Path) -> gr.Blocks:
    """The page; Gradio takes the event loop that is there."""
    return build_page(studio, scratch)


def trace_press(studio: Studio, project: int, scratch: Path) -> Trace:
    """The trace of one press on the warm model."""
    sketch = scratch / "sketch.png"
    image = Image.new("RGBA", (96, 96), "white")
    ImageDraw.Draw(image).ellipse((16, 20, 76, 84), fill="teal")
    image.save(sketch)
    press = press_of(asyncio.run(_page(studio, scratch)), project, sketch)
    press()
    with traced() as trace:
        press()
    return trace


def train(storage: Path) -> None:
    """A project of the example pictures with a word and a VAE, as the command line makes it."""
    for command in TRAIN:
        line = [sys.executable, "-m", "dyod_studio", "--storage", str(storage), *command]
        subprocess.run(line, check=True, stdout=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        storage = options.storage or Path(folder) / "storage"
        if options.storage is None:
            train(storage)
        settings = Settings(storage=storage)
        with open_storage(storage, settings.resolved_database_url, migrate=True) as opened:
            studio = build_studio(settings, opened, partial(run_request, settings, opened))
            trace = trace_press(studio, studio.projects.all()[0].id, Path(folder))
    for name, called in trace.functions.items():
        print(f"{name:40} {', '.join(called)}")
    print(f"{trace.num_files} files, {trace.num_changes} changes of file")
    return 0


if __name__ == "__main__":
    sys.exit(main())
