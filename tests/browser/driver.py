"""A visitor: a browser window that keeps account of what the page did."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request

SHOTS = Path(__file__).parents[2] / "test-output"
WAIT_MS = 60_000
GRAVE = ("serious", "critical")
OF_GRADIO = ("aria-prohibited-attr", 'aria-label="Empty value"')
"""Gradio labels its empty places without giving them a role: harmless, and not ours to change."""


AFTER_FRAMES = """() => new Promise(done =>
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))"""


class Visitor:
    """One browser window with a memory of its own; ``errors`` and ``hosts`` are recorded."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._context = browser.new_context(viewport={"width": 1440, "height": 900})
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        self._context.on("request", self._note_request)
        self.page.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(url)
        self.page.wait_for_selector("#bar")

    def close(self) -> None:
        self._context.close()

    def _note_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob"):
            self.hosts.add(parts.hostname or request.url)

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def find(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def open_screen(self, name: str) -> None:
        self.page.get_by_role("tab", name=name, exact=True).first.click()

    def open_menu(self) -> None:
        """The list of projects, with the buttons for a new one and for deleting this one."""
        self.press("#switcher summary")
        self.see("#switcher .switch-list")

    def grave_faults(self) -> list[str]:
        """What axe-core finds on the screen in sight that keeps people out."""
        found = Axe().run(self.page, options={"resultTypes": ["violations"]}).response
        return [
            f"{fault['id']}: {node['html'][:200]}"
            for fault in found["violations"]
            for node in fault["nodes"]
            if fault["impact"] in GRAVE
            and not (fault["id"] == OF_GRADIO[0] and OF_GRADIO[1] in node["html"])
        ]

    def unfold(self, name: str, first: str) -> None:
        """Open an accordion, and wait until Gradio has drawn what lies in it for the last time.

        It sets the fields once more to what they began with in the frame after they came into
        sight; nobody types so fast, but a program does.
        """
        self.page.get_by_text(name).locator("visible=true").first.click()
        self.see(first)
        self.page.evaluate(AFTER_FRAMES)

    def press(self, selector: str) -> None:
        self.find(selector).click()

    def see(
        self,
        selector: str,
        wait_ms: int = WAIT_MS,
        *,
        state: Literal["visible", "attached"] = "visible",
    ) -> Locator:
        """The first of what ``selector`` finds, once it is in sight, or there at all."""
        found = self.find(selector).first
        found.wait_for(state=state, timeout=wait_ms)
        return found

    def read(self, text: str) -> None:
        """Wait until the page says ``text`` somewhere in sight."""
        self.page.get_by_text(text).locator("visible=true").first.wait_for()

    def draw_stroke(self) -> None:
        """A bent line across the middle of the canvas, with the mouse held down."""
        self.see("#canvas button[aria-label='Brush'].highlight")
        box = self.see("#canvas canvas").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        mouse = self.page.mouse
        mouse.move(x - 90, y - 40)
        mouse.down()
        mouse.move(x + 70, y - 50, steps=4)
        mouse.move(x + 10, y + 80, steps=4)
        mouse.up()
        self.see("#canvas button[aria-label='Undo']:not([disabled])")

    def source(self, selector: str) -> str:
        """The address of the picture that is shown in ``selector``."""
        return self.see(f"{selector} img").get_attribute("src") or ""

    def shoot(self, name: str) -> None:
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)
