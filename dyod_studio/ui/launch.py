"""Serve the page: on this machine only, with nothing sent to or asked from anybody else."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dyod_studio.settings import ASSETS_DIR, Settings

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

QUIET_ENVIRONMENT = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}


def launch(studio: "Studio", settings: Settings, *, block: bool = True) -> Any:
    """Serve ``studio`` at the address in ``settings``; returns the running gr.Blocks.

    Gradio reads where its files go and whether it reports home when it is imported, so the
    environment is written first and the page imported after.
    """
    storage = settings.storage.resolve()
    scratch = fresh_folder(storage / "tmp" / f"page-{settings.port}")
    os.environ.update(QUIET_ENVIRONMENT, GRADIO_TEMP_DIR=str(scratch))
    import gradio as gr

    from dyod_studio.ui.page import build_page, build_theme

    page = build_page(studio, scratch)
    gr.set_static_paths([storage / "files"])
    page.launch(
        server_name=settings.host,
        server_port=settings.port,
        share=False,
        inbrowser=False,
        pwa=False,
        ssr_mode=False,
        mcp_server=False,
        run_history=False,
        footer_links=[],
        quiet=True,
        theme=build_theme(),
        css_paths=[ASSETS_DIR / "studio.css"],
        favicon_path=str(ASSETS_DIR / "mark.svg"),
        allowed_paths=allowed_paths(storage),
        prevent_thread_lock=not block,
    )
    return page


def fresh_folder(folder: Path) -> Path:
    """An empty folder; what an earlier page left in it is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def allowed_paths(storage: Path) -> list[str]:
    """The only folders a browser may read: pictures, and the examples."""
    return [str(storage / "files"), str(ASSETS_DIR / "examples")]
