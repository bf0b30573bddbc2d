"""The whole way of a newcomer, on the real studio with its real starter model, in Chromium."""

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.driver import Visitor
from tests.browser.serving import free_port, served

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TRAIN_MS = SAMPLE_MS = 200_000
FEW_STEPS = {"inversion": ("Style word", 6), "vae": ("Shape model", 30)}


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The studio as ``python app.py`` starts it, on an empty storage folder."""
    port = free_port()
    environment = {
        "DYOD_STORAGE": str(tmp_path / "storage"),
        "DYOD_PORT": str(port),
        "DYOD_DEVICE": "cpu",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    with served(["app.py"], port, tmp_path / "log.txt", environment) as address:
        yield address


def train_with_few_steps(visitor: Visitor) -> None:
    visitor.press("#to-train")
    visitor.page.get_by_text("One method, with its own settings").click()
    for job, (method, (name, steps)) in enumerate(FEW_STEPS.items(), start=1):
        visitor.find("#method").get_by_text(name).click()
        visitor.see(f"#train-{method}")
        visitor.find("#field-steps input").fill(str(steps))
        visitor.press(f"#train-{method}")
        visitor.see(f"#jobs [data-job='{job}']")
    for job in (1, 2):
        done = visitor.find(f"#jobs [data-job='{job}'].job-succeeded")
        done.wait_for(timeout=TRAIN_MS)
    visitor.shoot("real-2-trained")


def draw_and_make(visitor: Visitor) -> None:
    visitor.open_screen("Studio")
    visitor.draw_stroke()
    visitor.page.get_by_text("Fine controls").locator("visible=true").click()
    visitor.find("#studio-steps input[type=number]").fill("10")
    visitor.press("#make")
    visitor.see("#results img", SAMPLE_MS)
    visitor.shoot("real-3-studio")


def explore(visitor: Visitor) -> None:
    visitor.open_screen("Explore")
    visitor.press("#new-make")
    visitor.see("#new-results img", SAMPLE_MS)
    visitor.shoot("real-4-new-pictures")
    visitor.open_screen("Between two")
    visitor.press("#between-make")
    visitor.see("#between-frames img", SAMPLE_MS)
    first = visitor.source("#between-frame")
    slider = visitor.find("#between-place input[type=range]")
    slider.focus()
    slider.press("ArrowRight")
    visitor.page.wait_for_function(
        "first => document.querySelector('#between-frame img').src !== first", arg=first
    )
    visitor.shoot("real-5-between")


def take_the_gallery_home(visitor: Visitor, folder: Path) -> list[str]:
    visitor.open_screen("Gallery")
    visitor.see("#gallery img").click()
    visitor.read("num inference steps")
    visitor.shoot("real-6-gallery")
    visitor.press("#export")
    visitor.see("#download")
    with visitor.page.expect_download() as caught:
        visitor.press("#download")
    caught.value.save_as(folder / "gallery.zip")
    with zipfile.ZipFile(folder / "gallery.zip") as archive:
        return archive.namelist()


@pytest.mark.timeout(600)
def test_from_the_example_set_to_a_zip_of_new_pictures(
    url, visit: Callable[[str], Visitor], tmp_path: Path
):
    visitor = visit(url)
    visitor.press("#create-example")
    visitor.see("#set img")
    visitor.shoot("real-1-pictures")
    train_with_few_steps(visitor)
    draw_and_make(visitor)
    explore(visitor)
    names = take_the_gallery_home(visitor, tmp_path)
    assert len([name for name in names if name.endswith(".png")]) == 2 + 4 + 9
    assert "metadata.jsonl" in names
    assert visitor.errors == []
    assert visitor.hosts == {"127.0.0.1"}
