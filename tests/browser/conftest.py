"""A real Chromium, where there is one; where there is none, the tests say so loudly."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.driver import Visitor

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
MISSING = "NO CHROMIUM ON THIS MACHINE: THE PAGE WAS NOT TESTED. Install chromium or google-chrome."


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The browser, started once; ended with its last test, for its loop stands in others' way."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[[str], Visitor]]:
    """Open an address in a window of its own; every window is closed at the end."""
    visitors: list[Visitor] = []

    def open_window(url: str) -> Visitor:
        visitors.append(Visitor(chromium, url))
        return visitors[-1]

    yield open_window
    for visitor in visitors:
        visitor.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if any(MISSING in str(report.longrepr) for report in skipped):
        terminalreporter.write_sep("!", MISSING, red=True, bold=True)
