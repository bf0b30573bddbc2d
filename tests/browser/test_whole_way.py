"""The whole way of a newcomer, on the real studio with its real starter model, in Chromium."""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dyod_studio.settings import ASSETS_DIR
from tests.browser.driver import Visitor
from tests.browser.serving import free_port, served
from tests.browser.test_studio_screen import stroke

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TRAIN_MS = SAMPLE_MS = 240_000
REST_MS = 3000
FEW_STEPS = {"lora": ("Set style", 6), "vae": ("Shape model", 30)}
FACES = sorted((ASSETS_DIR / "examples" / "faces").glob("*.png"))[::2]
THUMB = "#gallery .thumbnail-item"
FRAMES = "document.querySelectorAll('{} img').length >= 3"


@contextmanager
def real_studio(folder: Path) -> Iterator[str]:
    """The studio as ``python app.py`` starts it, on a storage folder of its own."""
    port = free_port()
    folder.mkdir()
    environment = {
        "DYOD_STORAGE": str(folder / "storage"),
        "DYOD_PORT": str(port),
        "DYOD_DEVICE": "cpu",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    with served(["app.py"], port, folder / "log.txt", environment) as address:
        yield address


def zip_with_two_bad_files(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for face in FACES:
            archive.write(face, face.name)
        archive.writestr("notes.txt", "no picture")
        archive.writestr("cut off.png", FACES[0].read_bytes()[:400])
    return path


def check_the_set(visitor: Visitor, archive: Path) -> None:
    """The first half of the guide: a project, its pictures, the advice, the right to use them."""
    visitor.find("#project-name textarea, #project-name input").fill("Faces")
    visitor.press("#create-project")
    visitor.see("#guide-drop input[type=file]", state="attached").set_input_files(archive)
    visitor.read(f"{len(FACES)} pictures added.")
    visitor.read("2 files could not be used")
    visitor.shoot("real-1-pictures")
    visitor.press("#guide-to-check")
    visitor.read(f"{len(FACES)} pictures on white: fine for a style; for a subject add other")
    visitor.find("#guide-rights input").check()
    visitor.press("#guide-to-learn")
    visitor.see("#guide-reasons .advice", TRAIN_MS)
    visitor.shoot("real-2-proposal")


def train_with_few_steps(visitor: Visitor) -> None:
    visitor.open_screen("Train")
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
    visitor.shoot("real-3-trained")


def draw_and_make(visitor: Visitor) -> None:
    """A stroke becomes pictures, five t0s, before and after, and a part of one is drawn again."""
    visitor.open_screen("Studio")
    visitor.draw_stroke()
    few_steps(visitor, "studio", 10)
    visitor.press("#make")
    visitor.see("#results img", SAMPLE_MS)
    visitor.shoot("real-4-studio")
    visitor.press("#strip")
    visitor.find("#results").get_by_text("t0 0.8").first.wait_for(timeout=SAMPLE_MS)
    visitor.press("#compare")
    visitor.see("#before-after img")
    visitor.press("#compare")
    visitor.press("#use-as-sketch")
    visitor.page.get_by_role("tab", name="Change a part only").click()
    stroke(visitor, "#region")
    visitor.read("Only what you brushed is drawn again")
    visitor.press("#make")
    visitor.find("#results").get_by_text("seed ").first.wait_for(timeout=SAMPLE_MS)
    visitor.shoot("real-5-region")


def few_steps(visitor: Visitor, screen: str, number: int) -> None:
    visitor.unfold("Fine controls", f"#{screen}-steps")
    steps = visitor.find(f"#{screen}-steps input[type=number]")
    steps.fill(str(number))
    steps.press("Tab")


def explore(visitor: Visitor) -> None:
    """New pictures; a slider that moves from A to B; another one along a trait."""
    visitor.open_screen("Explore")
    few_steps(visitor, "explore", 5)
    visitor.press("#new-make")
    visitor.see("#new-results img", SAMPLE_MS)
    visitor.shoot("real-6-new-pictures")
    visitor.open_screen("Between two")
    for place in (0, 3):
        visitor.see("#pick-thumbs .thumbnail-item")
        visitor.find("#pick-thumbs .thumbnail-item").nth(place).click()
        visitor.see(f"#end-{'ab'[bool(place)]} img")
    visitor.page.wait_for_function(FRAMES.format("#between-frames"), timeout=SAMPLE_MS)
    move(visitor, "#between-place", "#between-frame")
    visitor.shoot("real-7-between")
    visitor.open_screen("Traits")
    visitor.page.wait_for_function(FRAMES.format("#trait-film-0"), timeout=SAMPLE_MS)
    move(visitor, "#trait-0", "#trait-frame")
    visitor.shoot("real-8-traits")
    visitor.page.wait_for_timeout(REST_MS)  # the new place is asked for
    told = visitor.find("#trait-status").get_by_text("frames are there")
    told.wait_for(timeout=SAMPLE_MS)  # until then frames show in the gallery


def move(visitor: Visitor, slider: str, stage: str) -> None:
    """To the end of the way: the picture is another one at once."""
    before = visitor.source(stage)
    handle = visitor.find(f"{slider} input[type=range]")
    handle.focus()
    handle.press("End")
    assert visitor.source(stage) != before


def keep_and_take_home(visitor: Visitor, out: Path) -> list[str]:
    """A favourite, a picture deleted and brought back, and all of it as one file."""
    visitor.open_screen("Gallery")
    visitor.find(THUMB).first.click()
    visitor.see("#gallery-picture img")
    number = visitor.find(THUMB).count()
    shown = f"document.querySelectorAll('{THUMB}').length === "
    visitor.press("#favorite")
    visitor.see("#favorite:has-text('♥')")
    visitor.page.wait_for_function(f"{shown}{number}")
    visitor.press("#gallery-delete")
    visitor.page.wait_for_function(f"{shown}{number - 1}")
    visitor.press("#gallery-undo-press")
    visitor.page.wait_for_function(f"{shown}{number}")
    visitor.shoot("real-9-gallery")
    visitor.find("#export-what").get_by_text("The whole project").click()
    visitor.press("#export")
    visitor.see("#download", SAMPLE_MS)
    with visitor.page.expect_download() as caught:
        visitor.press("#download")
    caught.value.save_as(out)
    with zipfile.ZipFile(out) as archive:
        return archive.namelist()


@pytest.mark.timeout(1500)
def test_from_a_heap_of_pictures_to_a_project_on_another_computer(
    visit: Callable[[str], Visitor], tmp_path: Path
):
    home = tmp_path / "Faces.zip"
    with real_studio(tmp_path / "first") as url:
        visitor = visit(url)
        check_the_set(visitor, zip_with_two_bad_files(tmp_path / "pictures.zip"))
        train_with_few_steps(visitor)
        draw_and_make(visitor)
        explore(visitor)
        names = keep_and_take_home(visitor, home)
        assert len([name for name in names if name.startswith("pictures/")]) == len(FACES)
        assert visitor.errors == []
        assert visitor.hosts == {"127.0.0.1"}
        visitor.close()
    with real_studio(tmp_path / "second") as url:
        other = visit(url)
        other.see("#import-project")
        chooser = other.find("#start input[type=file]").last
        chooser.set_input_files(home)
        other.see("#switcher summary:has-text('Faces')")
        other.open_screen("Gallery")
        other.page.wait_for_function(f"document.querySelectorAll('{THUMB}').length >= 6")
        assert other.errors == []
