"""The frame, the guide and the training in a real Chromium, over a fake that answers at once.

Studio, Explore, Gallery and Evaluate have walks of their own beside this file.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.driver import Visitor
from tests.browser.serving import free_port, served
from tests.ui.drawing import draw_picture

pytestmark = pytest.mark.browser
Visit = Callable[[str], Visitor]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A page over a fake studio without any project."""
    port = free_port()
    command = ["-m", "tests.browser.fake_app", str(port), str(tmp_path / "storage")]
    with served(command, port, tmp_path / "log.txt", {}) as address:
        yield address


SIZES = ((390, 844), (1024, 768), (1440, 900))
SCREENS = {
    "Pictures": "#set img", "Train": "#train-both", "Studio": "#make", "Explore": "#explore-tabs",
    "Gallery": "#gallery-summary", "Evaluate": "#screens", "Guide": "#guide-check .advice",
}  # fmt: skip


def begin_with_examples(visitor: Visitor) -> None:
    """A project of the example pictures; the guide opens with it, and is skipped."""
    visitor.press("#create-example")
    visitor.see("#guide-check .advice")
    visitor.press("#guide-skip [data-go]")
    visitor.see("#set img")


def test_the_guide_leads_to_training_and_an_address_to_every_screen(
    url, visit: Visit, tmp_path: Path
):
    visitor = visit(url)
    visitor.see("#project-name")
    visitor.shoot("fake-0-first-visit")
    visitor.find("#project-name textarea, #project-name input").fill("Shoes")
    visitor.press("#create-project")
    visitor.press("#guide-to-check")
    visitor.read("There are no pictures yet: drop some, or add the example set.")
    bad = tmp_path / "read me.txt"
    bad.write_text("no picture")
    good = [draw_picture(tmp_path / f"shoe {n}.png", n / 5) for n in range(1, 4)]
    visitor.see("#guide-drop input[type=file]", state="attached").set_input_files([bad, *good])
    visitor.read("3 pictures added.")
    visitor.read("is not an image")
    visitor.press("#guide-to-check")
    visitor.see("#guide-check .advice")
    visitor.press("#guide-to-learn")
    visitor.read("Tick first that you may use these pictures.")
    visitor.find("#guide-rights input").check()
    visitor.press("#guide-to-learn")
    visitor.see("#guide-reasons .advice")
    visitor.shoot("fake-1-guide")
    visitor.press("#guide-to-need")
    visitor.see("#guide-plan [data-plan='vae']")
    visitor.press("#guide-start")
    visitor.see("#guide-run .run-running")
    visitor.see("#running .running-running")
    other = visit(f"{url}?project=1&screen=gallery")
    other.see("#gallery-summary")
    other.see("#running .running-running")
    other.press("#running button")
    other.see("#jobs [data-job='1']")
    assert "project=1&screen=train" in other.page.url
    other.open_menu()
    other.press("#new-project")
    other.press("#create-example")
    other.see("#switcher [data-project='2']")
    assert "Shoes" in visitor.see("#switcher summary").inner_text()
    visitor.open_menu()
    visitor.press("#delete-project")
    visitor.read("This cannot be undone.")
    visitor.page.get_by_role("button", name="Delete for good").click()
    visitor.see("#switcher [data-project='2']")
    assert visitor.errors == other.errors == []
    assert visitor.hosts == {"127.0.0.1"}


def is_too_wide(visitor: Visitor) -> list[int]:
    """The widths at which the screen in sight would have to be scrolled sideways."""
    found = []
    for width, height in SIZES:
        visitor.page.set_viewport_size({"width": width, "height": height})
        if visitor.page.evaluate("document.documentElement.scrollWidth") > width:
            found.append(width)
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_keeps_people_out_of_any_screen_in_light_and_dark_at_any_width(url, visit: Visit):
    visitor = visit(url)
    visitor.see("#create-example")
    faults, widths = {"first visit": visitor.grave_faults()}, {}
    begin_with_examples(visitor)
    for shade in ("light", "dark"):
        for screen, sign in SCREENS.items():
            visitor.open_screen(screen)
            visitor.see(sign)
            faults[f"{screen}, {shade}"] = visitor.grave_faults()
            widths[screen] = is_too_wide(visitor)
            visitor.shoot(f"fake-2-{screen.lower()}-{shade}")
        visitor.press("#shade")
    assert {screen: found for screen, found in faults.items() if found} == {}
    assert {screen: found for screen, found in widths.items() if found} == {}
    assert visitor.errors == []


@pytest.mark.slow
def test_a_reload_and_a_second_browser_see_the_same_job_with_the_same_progress(url, visit: Visit):
    visitor = visit(url)
    begin_with_examples(visitor)
    visitor.press("#to-train")
    visitor.see("#plan [data-plan='vae']")
    visitor.press("#train-both")
    visitor.see("#jobs .job-running")
    visitor.see("#loss svg polyline")
    visitor.see("#previews img")
    visitor.see("#states [data-step='300'] img")
    visitor.shoot("fake-4-training")
    visitor.close()
    first, other = visit(url), visit(url)
    for window in (first, other):
        window.see("#running .running")
        window.open_screen("Train")
        window.see("#jobs [data-job='1'].job-running")
        window.see("#jobs [data-job='2'].job-queued")
        assert "300 of 800 steps" in window.see("#run").inner_text()
    other.press("#actions [data-press=cancel]")
    first.see("#jobs [data-job='1'].job-cancelled")
    assert visitor.errors == first.errors == other.errors == []


@pytest.mark.slow
def test_a_run_is_paused_used_and_gone_on_with_by_its_buttons(url, visit: Visit):
    visitor = visit(url)
    begin_with_examples(visitor)
    visitor.press("#to-train")
    visitor.press("#train-both")
    visitor.press("#actions [data-press=pause]")
    visitor.see("#run .run-paused")
    visitor.shoot("fake-4-paused")
    visitor.press("#actions [data-press=resume]")
    visitor.see("#run .run-running")
    visitor.press("#actions [data-press=cancel]")
    visitor.see("#run .run-cancelled")
    visitor.press("#states [data-step='200'] [data-press=choose]")
    visitor.read("Made of run 1 as it was after step 200.")
    visitor.press("#jobs .job[data-job='1'] [data-press=look]")
    visitor.press("#states [data-step='100'] [data-press=retry]")
    visitor.read("Goes on from run 1 as it was after step 100.")
    visitor.press("#jobs .job[data-job='2'] [data-press=move] >> nth=1")
    with visitor.page.expect_download() as caught:
        visitor.press("#report")
    assert caught.value.suggested_filename == "run-4-lora.html"
    assert visitor.errors == []


@pytest.mark.slow
def test_a_failure_is_read_copied_and_its_settings_come_back_into_the_form(url, visit: Visit):
    visitor = visit(url)
    begin_with_examples(visitor)
    visitor.open_screen("Train")
    visitor.page.get_by_text("One method, with its own settings").click()
    visitor.find("#method").get_by_text("Style word").click()
    visitor.see("#train-inversion")
    visitor.find("#field-steps input").fill("13")
    visitor.press("#train-inversion")
    visitor.read("Halve the learning rate, and go on from an earlier state.")
    visitor.find("#failure summary").click()
    visitor.read("Step 39 of 800")
    visitor.shoot("fake-4-failed")
    visitor.press("#failure [data-press=copy]")
    visitor.read("Copied")
    visitor.press("#failure [data-press=edit]")
    visitor.page.wait_for_function("document.querySelector('#field-steps input')?.value === '77'")
    visitor.press("#failure [data-press=retry]")
    visitor.see("#run [data-run='2'], .run[data-run='2']")
    assert visitor.errors == []
