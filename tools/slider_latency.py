"""Measure in a real page how fast the sliders of the Explore screen move their pictures.

``python -m tools.slider_latency`` makes a project of the example pictures, trains it for a moment,
serves the page and moves the sliders in Chromium; ``--storage FOLDER`` takes the first project
there instead. Prints milliseconds from the slider's input to the painted frame, and how many
requests the page sent meanwhile; ends with 1 when one in twenty moves takes 100 ms or more.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

LIMIT_MS = 100.0
MOVES = 40
WAIT_MS = 900_000
START_S = 300
STEPS = 10
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TRAIN = (
    ("project", "create", "Faces"),
    ("dataset", "examples", "Faces"),
    ("train", "Faces", "inversion", "--set", "steps=20"),
    ("train", "Faces", "vae", "--set", "steps=200"),
    ("worker", "--drain"),
)
MEASURE = """
async ({slider, stage, values}) => {
  const range = document.querySelector(`${slider} input[type=range]`);
  const picture = document.querySelector(`${stage} img`);
  const frame = () => new Promise(requestAnimationFrame);
  const moves = [];
  for (const value of values) {
    await frame();
    const begun = performance.now();
    await frame();
    const bare = performance.now() - begun;
    const before = picture.src;
    range.value = value;
    const started = performance.now();
    range.dispatchEvent(new Event('input', {bubbles: true}));
    while (picture.src === before && performance.now() - started < 10000) await frame();
    const chosen = performance.now() - started;
    await picture.decode();
    await frame();
    moves.push({chosen, painted: performance.now() - started, bare});
  }
  return moves;
}
"""
"""Runs in the page. Of each move, milliseconds from the event of the hand until the frame was
chosen, until it was decoded and painted, and what a bare frame takes in this page now."""


TIMERS = """
() => window.gradio_config.components.filter(part => part.type === 'timer').map(part => part.id)
"""


def measure(page: Page, slider: str, stage: str, values: Sequence[float]) -> list[dict[str, float]]:
    """How long each move of a slider took."""
    asked = {"slider": slider, "stage": stage, "values": list(values)}
    moves: list[dict[str, float]] = page.evaluate(MEASURE, asked)
    return moves


def summary(name: str, moves: Sequence[dict[str, float]], num_requests: int) -> str:
    """What was measured, in two lines."""
    chosen, painted, bare = ([m[part] for m in moves] for part in ("chosen", "painted", "bare"))
    return (
        f"{name}, {len(moves)} moves: painted after {statistics.median(painted):.1f} ms in the "
        f"median, 95% within {share(painted, 0.95):.1f} ms, slowest {max(painted):.1f} ms\n"
        f"  chosen after {statistics.median(chosen):.1f} ms (slowest {max(chosen):.1f} ms); a bare "
        f"frame of the page takes {statistics.median(bare):.1f} ms here; {num_requests} requests "
        "for a slider"
    )


def share(took: Sequence[float], part: float) -> float:
    """The value that ``part`` of the moves do not exceed."""
    ordered = sorted(took)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage", type=Path, help="a storage folder with a trained project")
    storage: Path | None = parser.parse_args(arguments).storage
    with tempfile.TemporaryDirectory() as scratch:
        folder = storage or Path(scratch) / "storage"
        if storage is None:
            for command in TRAIN:
                run(folder, *command)
        with served(folder) as url:
            return report(url)


def report(url: str) -> int:
    """Move the sliders of the page at this address, print what was measured."""
    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(WAIT_MS)
        page.goto(url)
        open_explore(page)
        slowest, asked = 0.0, list[str]()
        page.on("request", lambda request: asked.append(request.post_data or ""))
        for name, prepare, slider, stage, values in (
            ("From A to B", open_way, "#between-place", "#between-frame", ways()),
            ("A trait", open_traits, "#trait-0", "#trait-frame", traits()),
        ):
            prepare(page)
            asked.clear()
            moves = measure(page, slider, stage, values)
            sys.stdout.write(summary(name, moves, len(by_hand(page, asked))) + "\n")
            slowest = max(slowest, share([move["painted"] for move in moves], 0.95))
        browser.close()
    return 0 if slowest < LIMIT_MS else 1


def by_hand(page: Page, posts: Sequence[str]) -> list[str]:
    """Those of the requests that no timer of the page has sent."""
    timers = set(page.evaluate(TIMERS))
    events = [(post, json.loads(post)) for post in posts if post.startswith("{")]
    return [post for post, event in events if event.get("trigger_id") not in timers]


def ways() -> list[float]:
    """There and back over nine frames, a jump each."""
    return [float((8, 1, 7, 2, 6, 3, 5, 4, 0)[move % 9]) for move in range(MOVES)]


def traits() -> list[float]:
    """There and back over the seven frames of a trait."""
    return [float((-3, 2, -1, 3, -2, 1, 0)[move % 7]) for move in range(MOVES)]


def open_explore(page: Page) -> None:
    page.get_by_role("tab", name="Explore", exact=True).click()
    page.get_by_text("Fine controls").locator("visible=true").first.click()
    steps = page.locator("#explore-steps input[type=number]")
    steps.fill(str(STEPS))
    steps.press("Tab")


def open_way(page: Page) -> None:
    page.get_by_role("tab", name="Between two", exact=True).click()
    page.get_by_text("How it goes from A to B").locator("visible=true").click()
    frames = page.locator("#between-number input[type=number]")
    frames.fill("9")
    frames.press("Tab")
    page.locator("#between-make").click()
    page.wait_for_function("document.querySelectorAll('#between-frames img').length === 9")


def open_traits(page: Page) -> None:
    page.get_by_role("tab", name="Traits", exact=True).click()
    page.wait_for_function("document.querySelectorAll('#trait-film-0 img').length === 7")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The studio as ``python app.py`` serves it on this storage folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = {**os.environ, "DYOD_STORAGE": str(folder), "DYOD_PORT": str(port)}
    url = f"http://127.0.0.1:{port}/"
    with subprocess.Popen([sys.executable, "app.py"], env=environment) as process:
        try:
            wait_until_served(url, process)
            yield url
        finally:
            process.terminate()


def wait_until_served(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.3)
    raise SystemExit("The page was not served.")


def run(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "dyod_studio", "--storage", str(folder), *arguments]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
