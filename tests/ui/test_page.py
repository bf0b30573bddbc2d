"""The page as a whole: it builds, keeps to itself, and shows no endpoint to strangers."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from dyod_studio.ui.launch import allowed_paths, fresh_folder
from dyod_studio.ui.page import build_page, build_theme


async def built(studio: Any, scratch: Path) -> gr.Blocks:
    """The page, built inside a running loop: without one Gradio makes loops it never closes."""
    return build_page(studio, scratch)


def test_the_page_builds_and_lists_no_public_endpoint(studio, tmp_path):
    page = asyncio.run(built(studio, tmp_path))
    assert page.get_api_info()["named_endpoints"] == {}
    assert page.get_api_info()["unnamed_endpoints"] == {}
    assert page.analytics_enabled is False


def test_no_event_makes_a_canvas_upload_its_layers_but_the_one_that_wants_them(studio, tmp_path):
    page = asyncio.run(built(studio, tmp_path))
    for event in page.fns.values():
        assert event.show_progress_on
        assert all(isinstance(part, Component) for part in event.show_progress_on)
        given = [*event.show_progress_on, *(event.inputs if event.fn else ())]
        assert not any(isinstance(part, gr.ImageEditor) for part in given)


def test_building_the_page_asks_the_training_code_for_nothing(studio, tmp_path):
    studio.training.methods = None
    asyncio.run(built(studio, tmp_path))


def test_the_theme_loads_no_font_from_anywhere():
    theme = build_theme()
    assert theme._stylesheets == []
    assert "fonts.g" not in json.dumps(theme.to_dict())


def test_a_browser_may_read_pictures_but_neither_database_nor_logs(tmp_path):
    allowed = [Path(path) for path in allowed_paths(tmp_path)]
    for secret in ("studio.db", "jobs/1/log.txt", "tmp/x"):
        assert not any((tmp_path / secret).is_relative_to(path) for path in allowed)
    assert any((tmp_path / "files/ab/ab.png").is_relative_to(path) for path in allowed)


def test_what_an_earlier_page_left_behind_is_removed(tmp_path):
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "old.zip").write_bytes(b"old")
    assert list(fresh_folder(tmp_path / "page").iterdir()) == []


def test_the_page_is_imported_without_torch():
    code = "import sys, dyod_studio.ui.page; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
