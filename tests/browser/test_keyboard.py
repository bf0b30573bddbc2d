"""The way from a new project to a picture with the keyboard alone, in a real Chromium."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.driver import Visitor
from tests.browser.serving import free_port, served
from tests.ui.drawing import draw_picture

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]
MOST_STOPS = 90
STOP = """
wanted => {
  const here = document.activeElement;
  const box = here.getBoundingClientRect();
  return {
    isThere: here.matches(wanted),
    isSeen: here === document.body || box.width > 0 && box.height > 0,
    name: here.outerHTML.slice(0, 160),
  };
}
"""
"""Runs in the page: what has the keys now."""
IS_MARKED = """
async () => {
  const here = document.activeElement;
  const settled = () => new Promise(done => setTimeout(done, 300));
  const parts = [here, here.closest('label, .block, .thumbnail-item') ?? here];
  const lines = ['outlineStyle', 'outlineWidth', 'boxShadow', 'borderColor'];
  const look = () => JSON.stringify(parts.map(part => lines.map(l => getComputedStyle(part)[l])));
  await settled();
  const withKeys = look();
  here.blur();
  await settled();
  const without = look();
  here.focus({focusVisible: true});
  return withKeys !== without;
}
"""
"""Runs in the page: whether what has the keys looks another way than without them."""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    command = ["-m", "tests.browser.fake_app", str(port), str(tmp_path / "storage")]
    with served(command, port, tmp_path / "log.txt", {}) as address:
        yield address


def tab_to(visitor: Visitor, selector: str, *, back: bool = False) -> None:
    """Press Tab until ``selector`` has the keys; the keys are never where nothing is seen."""
    visitor.see(selector)
    for _ in range(MOST_STOPS):
        visitor.page.keyboard.press("Shift+Tab" if back else "Tab")
        stop = visitor.page.evaluate(STOP, selector)
        assert stop["isSeen"], f"The keys went where nothing is seen: {stop['name']}"
        if stop["isThere"]:
            assert visitor.page.evaluate(IS_MARKED), f"Nobody sees the focus: {stop['name']}"
            return
    raise AssertionError(f"{MOST_STOPS} times Tab did not lead to {selector}.")


def press(visitor: Visitor, selector: str, key: str = "Enter", *, back: bool = False) -> None:
    tab_to(visitor, selector, back=back)
    visitor.page.keyboard.press(key)


def test_the_whole_way_but_the_drawing_needs_no_mouse(
    url, visit: Callable[[str], Visitor], tmp_path: Path
):
    visitor = visit(url)
    tab_to(visitor, "#project-name input, #project-name textarea")
    visitor.page.keyboard.type("Shoes")
    visitor.page.keyboard.press("Enter")
    pictures = [draw_picture(tmp_path / f"shoe {n}.png", n / 5) for n in range(1, 4)]
    visitor.see("#guide-drop input[type=file]", state="attached").set_input_files(pictures)
    visitor.read("3 pictures added.")
    press(visitor, "#guide-to-check")
    visitor.see("#guide-check .advice")
    press(visitor, "#guide-rights input", "Space")
    press(visitor, "#guide-to-learn")
    visitor.see("#guide-reasons .advice")
    press(visitor, "#guide-to-need")
    visitor.see("#guide-plan [data-plan='vae']")
    press(visitor, "#guide-start")
    visitor.see("#running .running-running")
    press(visitor, "#screens [data-tab-id='explore']", back=True)
    press(visitor, "#new-make")
    visitor.see("#new-results img")
    tab_to(visitor, "#new-number input[type=range]", back=True)
    before = visitor.page.evaluate("document.activeElement.value")
    visitor.page.keyboard.press("ArrowRight")
    assert visitor.page.evaluate("document.activeElement.value") != before
    press(visitor, "#screens [data-tab-id='gallery']", back=True)
    press(visitor, "#gallery .thumbnail-item")
    press(visitor, "#favorite")
    visitor.see("#favorite:has-text('♥')")
    press(visitor, "#switcher summary", back=True)
    press(visitor, "#new-project")
    visitor.see("#project-name")
    visitor.shoot("keyboard")
    assert visitor.errors == []
