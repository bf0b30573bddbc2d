"""Serve the page: on this machine only, with nothing sent to or asked from anybody else."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dyod_studio.settings import ASSETS_DIR, Settings

if TYPE_CHECKING:
    from dyod_studio.studio.facade import Studio

QUIET_ENVIRONMENT = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}


def launch(studio: "Studio", settings: Settings, *, block: bool = True) -> Any:
    """Serve ``studio`` at the address in ``settings``; returns the running gr.Blocks.

    Gradio reads where its files go and whether it reports home when it is imported, so the
    environment is written first and the page imported after.
    """
    storage = settings.storage.resolve()
    scratch = storage / "tmp" / "page"
    scratch.mkdir(parents=True, exist_ok=True)
    os.environ.update(QUIET_ENVIRONMENT, GRADIO_TEMP_DIR=str(scratch))
    from dyod_studio.ui.page import build_page
    from dyod_studio.ui.theme import build_theme

    page = build_page(studio, scratch)
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


def allowed_paths(storage: Path) -> list[str]:
    """The only folders a browser may read: pictures and previews, and the examples."""
    return [str(storage / "files"), str(storage / "jobs"), str(ASSETS_DIR / "examples")]
