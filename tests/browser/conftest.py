"""A real Chromium, where there is one; where there is none, the tests say so loudly."""

import shutil
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.driver import Visitor

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
MISSING = "NO CHROMIUM ON THIS MACHINE: THE PAGE WAS NOT TESTED. Install chromium or google-chrome."

FAILED = pytest.StashKey[bool]()


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let the fixtures know whether their test failed."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture
def visit(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Visitor]]:
    """Open an address in a window of its own; every window is closed at the end.

    What the windows showed when a test failed lies in test-output.
    """
    visitors: list[Visitor] = []

    def open_window(url: str) -> Visitor:
        visitors.append(Visitor(chromium, url))
        return visitors[-1]

    yield open_window
    for number, visitor in enumerate(visitors):
        if request.node.stash[FAILED]:
            visitor.shoot(f"failed-{request.node.originalname[:60]}-{number}")
        visitor.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if any(MISSING in str(report.longrepr) for report in skipped):
        terminalreporter.write_sep("!", MISSING, red=True, bold=True)
