"""The Gallery screen in a real Chromium, over a fake studio that answers at once."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.browser.driver import Visitor
from tests.browser.serving import free_port, served

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
Visit = Callable[[str], Visitor]
THUMB = "#gallery .thumbnail-item"
BROKEN_OFF = re.compile("AbortError|errored out")
"""What Gradio says of a stream that was open when the page was left for another address."""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    command = ["-m", "tests.browser.fake_gallery_app", str(port), str(tmp_path / "storage")]
    with served(command, port, tmp_path / "log.txt", {}) as address:
        yield address


def count(visitor: Visitor, number: int) -> None:
    """Wait until so many small pictures are in sight."""
    visitor.page.wait_for_function(f"document.querySelectorAll('{THUMB}').length === {number}")


def test_pictures_are_found_compared_favoured_deleted_and_made_again(url, visit: Visit, tmp_path):
    visitor = visit(f"{url}?project=1&screen=gallery")
    visitor.read("Nothing made yet")
    visitor.shoot("gallery-0-empty")
    visitor.page.goto(f"{url}?project=2&screen=gallery")
    count(visitor, 4)

    visitor.find(THUMB).nth(1).click()
    visitor.see("#gallery-picture img")
    visitor.press("#favorite")
    visitor.see("#favorite:has-text('♥')")
    visitor.shoot("gallery-1-details")
    visitor.press("#gallery-delete")
    count(visitor, 3)
    visitor.press("#gallery-undo-press")
    count(visitor, 4)
    visitor.find("#gallery-show").get_by_text("Favourites").click()
    count(visitor, 1)
    visitor.find("#gallery-show").get_by_text("All").click()
    count(visitor, 4)
    search = visitor.find("#gallery-text input")
    search.press_sequentially("nowhere")
    visitor.read("Nothing here is like that.")
    search.press("Control+a")
    search.press("Backspace")
    count(visitor, 4)

    visitor.find("#gallery-several input").check()
    visitor.find(THUMB).nth(0).click()
    visitor.read("1 picture chosen")
    visitor.find(THUMB).nth(2).click()
    visitor.read("2 pictures chosen")
    visitor.press("#gallery-compare")
    visitor.see("#gallery-slider img")
    visitor.shoot("gallery-2-compare")
    visitor.press("#export")
    visitor.see("#download:has-text('chosen.zip (2 files')")
    with visitor.page.expect_download() as caught:
        visitor.press("#download")
    caught.value.save_as(tmp_path / "Chosen ones.zip")
    visitor.press("#gallery-delete-chosen")
    count(visitor, 2)
    visitor.find("#gallery-show").get_by_text("Bin").click()
    count(visitor, 2)
    visitor.read("2 pictures in the bin")
    visitor.find("#gallery-several input").uncheck()
    visitor.find(THUMB).nth(0).click()
    visitor.see("#gallery-delete:has-text('Bring back')")
    visitor.press("#gallery-delete")
    count(visitor, 1)
    visitor.find("#gallery-show").get_by_text("All").click()
    count(visitor, 3)

    visitor.find(THUMB).nth(0).click()
    visitor.press("#again")
    visitor.read("Explore stands as it stood for this picture.")
    visitor.page.wait_for_selector("[role=tab][aria-selected=true]:has-text('Explore')")
    visitor.open_screen("Gallery")
    bring = visitor.find("#gallery-bring input[type=file]")
    (tmp_path / "old.pt").write_bytes(b"pickled")
    bring.set_input_files(tmp_path / "old.pt")
    visitor.read("old.pt is refused: pickled weights can run any program")
    visitor.see("#gallery-bring:has-text('Drop File Here')")
    layer = {f"lora_unet_x.lora_{part}.weight": np.ones((1, 1)) for part in ("down", "up")}
    save_file(layer, tmp_path / "ink.safetensors")
    bring.set_input_files(tmp_path / "ink.safetensors")
    visitor.read("ink is here (LoRA from elsewhere): choose it under")
    visitor.see("#gallery-bring:has-text('Drop File Here')")
    visitor.shoot("gallery-3-brought")
    visitor.open_screen("Studio")
    visitor.see("#parts-use:has-text('LoRA from elsewhere')")
    visitor.open_screen("Gallery")
    bring.set_input_files(tmp_path / "Chosen ones.zip")
    visitor.see("#switcher summary:has-text('Chosen ones')")
    visitor.read("Nothing made yet")
    assert [error for error in visitor.errors if not BROKEN_OFF.search(error)] == []
