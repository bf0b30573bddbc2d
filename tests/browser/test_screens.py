"""Every screen in a real Chromium, over a fake studio that answers at once."""

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.driver import Visitor
from tests.browser.serving import free_port, served
from tests.ui.fakes import draw_picture

pytestmark = pytest.mark.browser
Visit = Callable[[str], Visitor]
FRAME = "#between-frame"
MEASURE = """
async () => {
  const slider = document.querySelector('#between-place input[type=range]');
  const frame = () => document.querySelector('#between-frame img').src;
  const before = frame();
  const started = performance.now();
  slider.value = 4;
  slider.dispatchEvent(new Event('input', {bubbles: true}));
  while (frame() === before && performance.now() - started < 5000)
    await new Promise(requestAnimationFrame);
  return performance.now() - started;
}
"""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A page over a fake studio without any project."""
    port = free_port()
    command = ["-m", "tests.browser.fake_app", str(port), str(tmp_path / "storage")]
    with served(command, port, tmp_path / "log.txt", {}) as address:
        yield address


def begin_with_examples(visitor: Visitor) -> None:
    visitor.press("#create-example")
    visitor.see("#set img")


def test_every_screen_opens_without_an_error_and_asks_nothing_of_another_host(url, visit: Visit):
    visitor = visit(url)
    visitor.see("#project-name")
    visitor.shoot("fake-0-first-visit")
    begin_with_examples(visitor)
    visitor.shoot("fake-1-pictures")
    for screen, sign in (
        ("Train", "#train-both"),
        ("Studio", "#canvas canvas"),
        ("Explore", "#new-make"),
        ("Gallery", "#export"),
    ):
        visitor.open_screen(screen)
        visitor.see(sign)
        visitor.shoot(f"fake-2-{screen.lower()}-empty")
    assert visitor.errors == []
    assert visitor.hosts == {"127.0.0.1"}


def test_bad_files_are_named_with_their_reason_and_the_good_ones_shown(
    url, visit: Visit, tmp_path: Path
):
    visitor = visit(url)
    visitor.find("#project-name textarea, #project-name input").fill("Shoes")
    visitor.press("#create-project")
    visitor.see("#drop")
    bad = tmp_path / "read me.txt"
    bad.write_text("no picture")
    good = draw_picture(tmp_path / "shoe.png", 0.4)
    visitor.find("#drop input[type=file]").set_input_files([bad, good])
    visitor.read("1 picture added.")
    visitor.read("is not an image")
    visitor.see("#set img")
    visitor.shoot("fake-3-report")
    assert visitor.errors == []


def test_a_reload_and_a_second_browser_see_the_same_job(url, visit: Visit):
    visitor = visit(url)
    begin_with_examples(visitor)
    visitor.press("#to-train")
    visitor.press("#train-both")
    visitor.see("#jobs .job-running")
    visitor.see("#loss canvas, #loss svg")
    visitor.see("#previews img")
    visitor.shoot("fake-4-training")
    visitor.page.reload()
    other = visit(url)
    for window in (visitor, other):
        window.see("#running .running")
        window.open_screen("Train")
        window.see("#jobs [data-job='1'].job-running")
        window.see("#jobs [data-job='2'].job-queued")
        assert "300 of 800 steps" in window.see("#jobs [data-job='1']").inner_text()
    other.press("#cancel")
    visitor.see("#jobs [data-job='1'].job-cancelled")
    assert visitor.errors == other.errors == []


def test_the_settings_of_one_method_are_drawn_and_sent(url, visit: Visit):
    visitor = visit(url)
    begin_with_examples(visitor)
    visitor.open_screen("Train")
    visitor.page.get_by_text("One method, with its own settings").click()
    visitor.find("#method").get_by_text("Shape model").click()
    visitor.see("#field-space")
    visitor.find("#field-steps input").fill("7")
    visitor.press("#train-vae")
    visitor.see("#jobs [data-job='1'].job-running")
    visitor.shoot("fake-5-one-method")
    assert visitor.errors == []


def test_an_untouched_canvas_gets_a_sentence_and_a_stroke_becomes_pictures(url, visit: Visit):
    visitor = visit(url)
    begin_with_examples(visitor)
    visitor.open_screen("Studio")
    visitor.see("#canvas canvas")
    visitor.press("#make")
    visitor.read("The canvas is empty: draw something, or drop a picture on it.")
    visitor.draw_stroke()
    visitor.open_screen("Explore")
    visitor.open_screen("Studio")
    visitor.press("#make")
    visitor.see("#results img")
    visitor.shoot("fake-6-studio")
    assert visitor.errors == []


def test_the_slider_between_two_moves_without_asking_the_server(url, visit: Visit):
    visitor = visit(url)
    begin_with_examples(visitor)
    visitor.open_screen("Explore")
    visitor.open_screen("Between two")
    visitor.press("#between-make")
    visitor.see("#between-frames img")
    first = visitor.source(FRAME)
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    took_ms = visitor.page.evaluate(MEASURE)
    assert visitor.source(FRAME) != first
    assert took_ms < 1000
    visitor.shoot("fake-7-between")
    assert not [address for address in asked if "between" in address]
    assert visitor.errors == []


def test_the_gallery_shows_how_a_picture_was_made_and_gives_the_zip(
    url, visit: Visit, tmp_path: Path
):
    visitor = visit(url)
    begin_with_examples(visitor)
    visitor.open_screen("Explore")
    visitor.press("#new-make")
    visitor.see("#new-results img")
    visitor.open_screen("Gallery")
    visitor.see("#gallery img").click()
    visitor.read("num inference steps")
    visitor.press("#export")
    visitor.see("#download")
    with visitor.page.expect_download() as caught:
        visitor.press("#download")
    caught.value.save_as(tmp_path / "gallery.zip")
    with zipfile.ZipFile(tmp_path / "gallery.zip") as archive:
        assert len(archive.namelist()) == 4
    visitor.shoot("fake-8-gallery")
    assert caught.value.suggested_filename == "Example-gallery.zip"
    assert visitor.errors == []


def test_a_project_is_deleted_only_after_a_question(url, visit: Visit):
    visitor = visit(url)
    begin_with_examples(visitor)
    visitor.press("#delete-project")
    visitor.read("This cannot be undone.")
    visitor.page.get_by_role("button", name="Keep it").click()
    visitor.press("#delete-project")
    visitor.page.get_by_role("button", name="Delete for good").click()
    visitor.see("#project-name")
    assert visitor.errors == []
