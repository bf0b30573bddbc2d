"""The whole page: the bar on top, and the five screens in the order of the work."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.settings import ASSETS_DIR
from dyod_studio.ui.bar import build_bar, describe_running
from dyod_studio.ui.common.handlers import SILENT, limit_event_updates, shown_to_user
from dyod_studio.ui.draw.screen import build_studio_screen, show_studio
from dyod_studio.ui.evaluate.screen import build_evaluate, show_evaluate
from dyod_studio.ui.explore.screen import build_explore, show_explore
from dyod_studio.ui.gallery.import_export import build_import
from dyod_studio.ui.gallery.screen import Links, build_gallery
from dyod_studio.ui.guide.screen import build_guide
from dyod_studio.ui.guide.steps import show_guide
from dyod_studio.ui.links import LINKS
from dyod_studio.ui.pictures.screen import build_pictures, show_pictures
from dyod_studio.ui.projects import Shell, build_question, build_start, opened, wire_projects
from dyod_studio.ui.train.live import show_training
from dyod_studio.ui.train.screen import build_train

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

TICK_S = 2.0
"""How often the page asks how the training goes."""
CACHE_S = (3600, 24 * 3600)
"""Every hour, forget what browsers uploaded more than a day ago."""
MEMORY = {"storage_key": "dyod-studio-project", "secret": "dyod-studio"}
"""Where the browser keeps the id of the project it had open; nothing secret is in it."""


def build_page(studio: "Studio", scratch: Path) -> gr.Blocks:
    """Lay out every screen and wire it. ``scratch`` is a folder for files of the moment."""
    with gr.Blocks(
        title="DYOD Studio", analytics_enabled=False, fill_width=True, delete_cache=CACHE_S
    ) as page:
        timer = gr.Timer(TICK_S)
        project = gr.State(None)
        remembered = gr.BrowserState(None, **MEMORY)
        bar = build_bar((ASSETS_DIR / "mark.svg").read_text(encoding="utf-8"))
        question = build_question()
        again, brought = gr.State(None), gr.State(None)
        start = build_start()
        with start.panel:
            build_import(studio, brought)
        with gr.Column(elem_id="workspace") as workspace:
            tabs = _build_screens(studio, scratch, project, timer, again, brought, bar.switcher)
        shell = Shell(project, remembered, bar, start, question, workspace)
        wire_projects(studio, page, shell, tabs)
        opened_next = partial(opened, studio, is_shown=False)
        brought.change(opened_next, brought, shell.outputs, **SILENT)
        gr.on(
            [timer.tick, project.change], partial(describe_running, studio), project, bar.running,
            **SILENT,
        )  # fmt: skip
        page.load(None, None, None, js=LINKS)
        limit_event_updates(page, bar.brand)
    return page


def _build_screens(
    studio: "Studio", scratch: Path, project: gr.State, timer: gr.Timer, again: gr.State,
    brought: gr.State, switcher: gr.HTML,
) -> gr.Tabs:  # fmt: skip
    with gr.Tabs(elem_id="screens", overflow_behavior="wrap") as tabs:
        with gr.Tab("Pictures", id="pictures") as tab:
            pictures = build_pictures(studio, project, tabs, switcher)
            _keep_fresh(show_pictures, studio, project, tab, pictures)
        with gr.Tab("Train", id="train") as tab:
            live = build_train(studio, scratch, project, timer, tab)
            _keep_fresh(show_training, studio, project, tab, live)
        with gr.Tab("Studio", id="studio") as tab:
            hint = build_studio_screen(studio, scratch, project, tab, again)
            _keep_fresh(show_studio, studio, project, tab, hint)
        with gr.Tab("Explore", id="explore") as tab:
            hint = build_explore(studio, scratch, project, tabs, tab, again)
            _keep_fresh(show_explore, studio, project, tab, hint)
        with gr.Tab("Gallery", id="gallery") as tab:
            build_gallery(studio, scratch, project, tab, Links(tabs, again, brought))
        with gr.Tab("Evaluate", id="evaluate") as tab:
            measured = build_evaluate(studio, scratch, project, timer)
            _keep_fresh(show_evaluate, studio, project, tab, measured)
        with gr.Tab("Guide", id="guide", alignment="right") as tab:
            guided = build_guide(studio, project, timer, switcher)
            _keep_fresh(show_guide, studio, project, tab, guided)
    return tabs


def _keep_fresh(
    show: Callable[..., Any], studio: "Studio", project: gr.State, tab: gr.Tab, outputs: list[Any]
) -> None:
    """Fill a screen when another project is opened and when the screen comes into sight."""
    handler = partial(shown_to_user(show), studio)
    gr.on([project.change, tab.select], handler, project, outputs, **SILENT)


SANS = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Cantarell",
    "Noto Sans",
    "Liberation Sans",
    "sans-serif",
)
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")

LOOK = {
    "body_background_fill": "*neutral_100",
    "body_background_fill_dark": "*neutral_950",
    "background_fill_primary": "white",
    "background_fill_primary_dark": "*neutral_900",
    "block_border_width": "1px",
    "block_border_color": "*neutral_200",
    "block_border_color_dark": "*neutral_800",
    "block_label_background_fill": "transparent",
    "block_label_background_fill_dark": "transparent",
    "block_label_border_width": "0px",
    "block_label_text_color": "*neutral_600",
    "block_label_text_color_dark": "*neutral_400",
    "block_title_text_weight": "600",
    "block_title_text_color": "*neutral_800",
    "block_title_text_color_dark": "*neutral_200",
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_400",
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_400",
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_dark": "*primary_700",
    "button_primary_background_fill_hover_dark": "*primary_800",
    "button_primary_text_color": "white",
    "button_secondary_background_fill": "white",
    "button_secondary_background_fill_hover": "*neutral_100",
    "button_secondary_background_fill_dark": "*neutral_800",
    "button_secondary_background_fill_hover_dark": "*neutral_700",
    "button_secondary_border_color": "*neutral_300",
    "button_secondary_border_color_dark": "*neutral_700",
    "button_large_text_weight": "600",
    "button_border_width": "1px",
    "button_primary_border_color": "*primary_700",
    "button_primary_border_color_dark": "*primary_700",
    "button_cancel_background_fill": "white",
    "button_cancel_background_fill_dark": "*neutral_800",
    "button_cancel_text_color": "#b91c1c",
    "button_cancel_text_color_dark": "#f87171",
    "button_cancel_border_color": "#b91c1c",
    "color_accent": "*primary_700",
    "slider_color": "*primary_600",
    "input_background_fill": "*neutral_50",
    "input_background_fill_dark": "*neutral_800",
}
"""Where this look differs from Gradio's plain one."""


def build_theme() -> gr.themes.Base:
    """A theme that loads no font from anywhere: plain names stand for local fonts."""
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.stone,
        neutral_hue=gr.themes.colors.stone,
        radius_size=gr.themes.sizes.radius_md,
        font=list(SANS),
        font_mono=list(MONO),
    )
    return theme.set(**LOOK)
