"""The Studio screen walked once in Chromium, on the real starter: from a stroke to a region."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from dyod_studio.bootstrap import command_line_studio
from dyod_studio.settings import Settings
from dyod_studio.store.files import FileStore
from tests.browser.driver import Visitor
from tests.browser.serving import free_port, served

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SAMPLE_MS = 200_000
STROKES = 20
ENDED = {"succeeded", "cancelled"}
REST_MS = 4000
THUMBS = "#gallery .thumbnail-item"
PLACE = """
selector => {
  const box = document.querySelector(selector + ' canvas').getBoundingClientRect();
  return {x: box.x + box.width / 2, y: box.y + box.height / 2};
}
"""
SCRIBBLE = """
async number => {
  const canvas = document.querySelector('#canvas canvas');
  const box = canvas.getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const frame = () => new Promise(requestAnimationFrame);
  const said = {bubbles: true, pointerId: 1, pointerType: 'mouse', isPrimary: true, button: 0};
  for (let stroke = 0; stroke < number; stroke++) {
    for (const [name, dx, dy, buttons] of [
      ['pointermove', -60, -40, 0], ['pointerdown', -60, -40, 1], ['pointermove', 0, 10, 1],
      ['pointermove', 40, 30, 1], ['pointerup', 40, 30, 0],
    ]) {
      const at = {clientX: x + dx + 4 * stroke, clientY: y + dy, buttons};
      canvas.dispatchEvent(new PointerEvent(name, {...said, ...at}));
    }
    await frame();
  }
}
"""
"""Runs in the page: strokes faster than any hand, one a frame."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A storage folder with the example project in it, on the starter, nothing trained."""
    settings = Settings(storage=tmp_path / "storage", device="cpu")
    with command_line_studio(settings) as studio:
        studio.projects.add_examples(studio.projects.create("Faces").id)
    return settings


@pytest.fixture
def url(settings: Settings, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    environment = {
        "DYOD_STORAGE": str(settings.storage),
        "DYOD_PORT": str(port),
        "DYOD_DEVICE": "cpu",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    with served(["app.py"], port, tmp_path / "log.txt", environment) as address:
        yield address


Row = tuple[str, str, float, int]


def requests(settings: Settings) -> list[Row]:
    """(state, inputs, t0, steps) of every request, in order."""
    query = (
        "SELECT state, (SELECT group_concat(name) FROM request_inputs WHERE request_id = id), "
        "json_extract(parameters, '$.t0'), json_extract(parameters, '$.num_inference_steps') "
        "FROM sample_requests ORDER BY id"
    )
    with sqlite3.connect(settings.storage / "studio.db") as connection:
        return list(connection.execute(query))


def stroke(visitor: Visitor, canvas: str) -> None:
    """A short line across the middle of a canvas, with the mouse held down."""
    visitor.see(f"{canvas} button[aria-label='Brush'].highlight")
    place = visitor.page.evaluate(PLACE, canvas)
    mouse = visitor.page.mouse
    mouse.move(place["x"] - 60, place["y"] - 40)
    mouse.down()
    mouse.move(place["x"] + 40, place["y"] + 30, steps=4)
    mouse.up()


def settle(visitor: Visitor, caption: str) -> None:
    """Wait until a result of this caption is in sight."""
    found = visitor.find("#results").get_by_text(caption).first
    found.wait_for(state="attached", timeout=SAMPLE_MS)


def wait_for_rows(
    visitor: Visitor, settings: Settings, wanted: Callable[[list[Row]], bool]
) -> None:
    for _ in range(SAMPLE_MS // 200):
        if wanted(requests(settings)):
            return
        visitor.page.wait_for_timeout(200)
    raise AssertionError(f"waited in vain: {requests(settings)}")


def rows_at_rest(visitor: Visitor, settings: Settings) -> list[Row]:
    """The requests, once all have ended and no other has come for a while."""
    before: list[Row] = []
    for _ in range(SAMPLE_MS // REST_MS):
        visitor.page.wait_for_timeout(REST_MS)
        rows = requests(settings)
        if rows == before and {row[0] for row in rows} <= ENDED:
            return rows
        before = rows
    raise AssertionError(f"It does not come to rest: {before}")


def draw_with_few_steps(visitor: Visitor) -> None:
    """An empty canvas gets a sentence; a stroke becomes pictures whose seed is shown."""
    visitor.open_screen("Studio")
    visitor.see("#canvas button[aria-label='Brush'].highlight")
    visitor.press("#make")
    visitor.read("The canvas is empty: draw something, or drop a picture on it.")
    visitor.unfold("Fine controls", "#studio-steps")
    visitor.find("#studio-steps input[type=number]").fill("5")
    stroke(visitor, "#canvas")
    visitor.press("#make")
    settle(visitor, "seed ")
    assert visitor.find("#studio-seed").locator("input, textarea").input_value().isdecimal()
    visitor.shoot("studio-1-made")


def compare_and_go_on(visitor: Visitor) -> None:
    """Before and after; five t0s; a result becomes the sketch, and a part of it changes."""
    visitor.press("#compare")
    visitor.see("#before-after img")
    visitor.shoot("studio-2-before-after")
    visitor.press("#strip")
    settle(visitor, "t0 0.8")
    visitor.see("#sheet")
    visitor.shoot("studio-3-strip")
    visitor.press("#use-as-sketch")
    visitor.page.get_by_role("tab", name="Change a part only").click()
    stroke(visitor, "#region")
    visitor.read("Only what you brushed is drawn again")
    visitor.press("#make")
    settle(visitor, "seed ")
    visitor.shoot("studio-4-region")


def scribble_live(visitor: Visitor, settings: Settings) -> None:
    """A fast scribble asks for a picture now and then, not at every stroke, and for its end."""
    visitor.page.get_by_role("tab", name="Draw", exact=True).click()
    visitor.find("#live input").check()
    before = len(requests(settings))
    visitor.page.evaluate(SCRIBBLE, STROKES)
    settle(visitor, "live, seed ")
    states = [row[0] for row in rows_at_rest(visitor, settings)[before:]]
    assert states[-1] == "succeeded"
    assert len(states) <= STROKES // 4
    visitor.shoot("studio-5-live")
    visitor.find("#live input").uncheck()


def stop_a_long_one(visitor: Visitor, settings: Settings) -> None:
    """Stop is obeyed at once, and the request's row ends cancelled."""
    visitor.find("#studio-number input[type=number]").fill("8")
    visitor.find("#studio-steps input[type=number]").fill("100")
    visitor.press("#make")
    wait_for_rows(visitor, settings, lambda rows: rows[-1][3] == 100)  # no live one that came late
    visitor.press("#stop")
    visitor.read("Stopped.")
    wait_for_rows(visitor, settings, lambda rows: rows[-1][0] == "cancelled")


def sketch_of_the_last(visitor: Visitor, settings: Settings, count: int) -> Image.Image:
    """Press the button; the sketch that request number ``count`` began at."""
    visitor.press("#make")
    wait_for_rows(visitor, settings, lambda rows: len(rows) == count and rows[-1][0] == "succeeded")
    query = (
        "SELECT sha256, suffix FROM request_inputs WHERE name = 'image' ORDER BY request_id DESC"
    )
    with sqlite3.connect(settings.storage / "studio.db") as connection:
        sha256, suffix = connection.execute(query).fetchone()
    return Image.open(FileStore(settings.storage / "files").path(sha256, suffix)).convert("RGB")


def put_on_canvas(visitor: Visitor, file: Path) -> None:
    visitor.press("#canvas button[aria-label='Clear canvas']")
    visitor.see("#canvas input[type=file]", state="attached").set_input_files(file)
    visitor.see("#canvas button[aria-label='Clear canvas']:not([disabled])")
    visitor.page.wait_for_timeout(6000)  # the canvas does not say when a picture lies on it


@pytest.mark.timeout(600)
def test_whatever_lies_on_the_canvas_becomes_the_sketch_and_no_stroke_is_lost(
    url, settings: Settings, visit: Callable[[str], Visitor], tmp_path
):
    photo = Image.new("RGB", (4000, 3000), (30, 90, 200))
    photo.save(tmp_path / "photo.jpg")
    Image.new("RGB", (200, 3000), (200, 30, 30)).save(tmp_path / "tall.png")
    see_through = Image.new("RGBA", (600, 600), (0, 0, 0, 0))
    see_through.paste((20, 160, 60, 255), (200, 200, 400, 400))
    see_through.save(tmp_path / "clear.png")

    visitor = visit(url)
    visitor.open_screen("Studio")
    visitor.see("#canvas button[aria-label='Brush'].highlight")
    visitor.unfold("Fine controls", "#studio-steps")
    visitor.find("#studio-steps input[type=number]").fill("5")
    stroke(visitor, "#canvas")
    visitor.open_screen("Gallery")
    visitor.page.wait_for_timeout(500)
    visitor.open_screen("Studio")
    drawn = sketch_of_the_last(visitor, settings, 1)
    assert ImageChops.invert(drawn).convert("L").point(lambda v: 255 * (v > 100)).getbbox()

    put_on_canvas(visitor, tmp_path / "photo.jpg")
    laid = sketch_of_the_last(visitor, settings, 2)
    middle = laid.getpixel((laid.width // 2, laid.height // 2))
    assert max(laid.size) <= 1024
    assert all(abs(a - b) < 12 for a, b in zip(middle, (30, 90, 200), strict=True))

    put_on_canvas(visitor, tmp_path / "tall.png")
    laid = sketch_of_the_last(visitor, settings, 3)
    assert laid.getpixel((3, laid.height // 2)) == (255, 255, 255)
    assert laid.getpixel((laid.width // 2, 5))[0] > 150

    put_on_canvas(visitor, tmp_path / "clear.png")
    laid = sketch_of_the_last(visitor, settings, 4)
    assert laid.getpixel((3, 3)) == (255, 255, 255)
    visitor.shoot("studio-6-canvas")
    assert visitor.errors == []


@pytest.mark.timeout(1200)
def test_the_studio_screen_from_a_stroke_to_a_region_and_a_live_picture(
    url, settings: Settings, visit: Callable[[str], Visitor]
):
    visitor = visit(url)
    draw_with_few_steps(visitor)
    compare_and_go_on(visitor)
    rows = requests(settings)
    assert [row[2] for row in rows] == [0.5, 0.2, 0.35, 0.5, 0.65, 0.8, 0.5]
    assert sorted(rows[-1][1].split(",")) == ["image", "region"]
    scribble_live(visitor, settings)
    stop_a_long_one(visitor, settings)
    assert visitor.errors == []
    assert visitor.hosts == {"127.0.0.1"}


@pytest.mark.timeout(600)
def test_two_browsers_at_two_projects_keep_to_themselves(
    url, settings: Settings, visit: Callable[[str], Visitor]
):
    with command_line_studio(settings) as studio:
        other_id = studio.projects.create("Smiles").id
        studio.projects.add_examples(other_id)
    first, second = (visit(f"{url}?project={number}&screen=studio") for number in (1, other_id))
    for visitor, steps in ((first, "6"), (second, "7")):
        visitor.see("#canvas button[aria-label='Brush'].highlight")
        visitor.unfold("Fine controls", "#studio-steps")
        visitor.find("#studio-steps input[type=number]").fill(steps)
    stroke(first, "#canvas")
    second.press("#make")
    second.read("The canvas is empty")
    first.press("#make")
    settle(first, "seed ")
    assert second.find("#results").get_by_text("seed ").count() == 0
    stroke(second, "#canvas")
    second.press("#make")
    settle(second, "seed ")
    assert [row[3] for row in requests(settings)] == [6, 7]
    with sqlite3.connect(settings.storage / "studio.db") as connection:
        owners = connection.execute("SELECT project_id FROM sample_requests ORDER BY id").fetchall()
        made = dict(
            connection.execute("SELECT project_id, count(*) FROM generations GROUP BY project_id")
        )
    assert owners == [(1,), (other_id,)]
    for visitor, name, number, steps in (
        (first, "Faces", 1, "6"),
        (second, "Smiles", other_id, "7"),
    ):
        visitor.see(f"#switcher summary:has-text('{name}')")
        assert visitor.find("#studio-steps input[type=number]").input_value() == steps
        visitor.open_screen("Gallery")
        visitor.page.wait_for_function(
            f"document.querySelectorAll({THUMBS!r}).length === {made[number]}"
        )
        assert visitor.errors == []
