"""The Explore screen in a real Chromium, over a fake studio that fills strips as one looks."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.driver import Visitor
from tests.browser.serving import free_port, served
from tools.slider_latency import by_hand, measure

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LET_GO = """
() => {
  const range = document.querySelector('#trait-0 input[type=range]');
  range.value = range.max;
  for (const name of ['input', 'change']) range.dispatchEvent(new Event(name, {bubbles: true}));
  window.dyodWalks.settle(document.querySelector('#trait-film-1'));
  return document.querySelector('#trait-frame img').src;
}
"""
"""A slider is moved and let go of just before frames of the place it left come in."""
STAGE, PLACE = "#between-frame", "#between-place"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A page over a fake studio whose first project is trained already."""
    port = free_port()
    command = ["-m", "tests.browser.explore_app", str(port), str(tmp_path / "storage")]
    with served(command, port, tmp_path / "log.txt", {}) as address:
        yield address


def go_to(visitor: Visitor, way: str) -> None:
    visitor.see("#set img")  # the project has been opened
    visitor.open_screen("Explore")
    visitor.open_screen(way)


def test_two_clicks_make_a_strip_and_the_slider_asks_nobody(url, visit: Callable[[str], Visitor]):
    visitor = visit(url)
    go_to(visitor, "Between two")
    for number in (0, 3):
        visitor.see("#pick-thumbs .thumbnail-item")
        visitor.find("#pick-thumbs .thumbnail-item").nth(number).click()
        visitor.see(f"#end-{'ab'[bool(number)]} img")
    visitor.page.wait_for_function("document.querySelectorAll('#between-frames img').length === 17")
    visitor.read("All 17 frames are there.")
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.post_data or ""))
    moves = measure(visitor.page, PLACE, STAGE, [16, 3, 9])
    assert len(moves) == 3
    assert by_hand(visitor.page, asked) == []
    slider = visitor.find(f"{PLACE} input[type=range]")
    before = visitor.source(STAGE)
    slider.focus()
    slider.press("ArrowRight")
    assert visitor.source(STAGE) != before
    visitor.find("#between-frames img").first.click()
    assert slider.input_value() == "0"
    visitor.press("#between-keep")
    visitor.read("It is in the gallery now.")
    with visitor.page.expect_download() as caught:
        visitor.press("#moving-gif")
    assert caught.value.suggested_filename == "from-a-to-b.gif"
    visitor.shoot("explore-between")
    assert visitor.errors == []


def test_a_trait_is_moved_named_and_its_place_saved_and_opened_again(
    url, visit: Callable[[str], Visitor]
):
    visitor = visit(url)
    go_to(visitor, "Traits")
    visitor.page.wait_for_function("document.querySelectorAll('#trait-film-0 img').length === 7")
    visitor.see("#trait-frame img")
    middle = visitor.source("#trait-frame")
    last = visitor.find("#trait-film-0 img[data-at='3']").get_attribute("src") or "none"
    assert visitor.page.evaluate(LET_GO).endswith(last)
    visitor.press("#trait-reset")
    visitor.page.wait_for_function(
        "was => document.querySelector('#trait-frame img').src.endsWith(was)", arg=middle
    )
    slider = visitor.find("#trait-0 input[type=range]")
    slider.focus()
    for _ in range(4):
        slider.press("ArrowRight")
    visitor.page.wait_for_function(
        "was => document.querySelector('#trait-frame img').src !== was", arg=middle
    )
    visitor.see("#trait-film-1 img[data-at='-3']")
    visitor.page.get_by_label("Save this place as").fill("wider")
    visitor.press("#place-save")
    visitor.see("#places img")
    visitor.press("#trait-reset")
    visitor.page.wait_for_function(
        "was => document.querySelector('#trait-frame img').src === was", arg=middle
    )
    visitor.find("#places .thumbnail-item").first.click()
    visitor.see("#place-forget")
    visitor.page.wait_for_function(
        "document.querySelector('#trait-0 input[type=range]').value === '1'"
    )
    visitor.shoot("explore-traits")
    assert visitor.errors == []
