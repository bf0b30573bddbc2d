"""The list behind the open project's name: all others, and a new one."""

from collections.abc import Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.services.views import ProjectView
from dyod_studio.ui.common.html import counted, data_uri
from dyod_studio.ui.common.run_html import method_name

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

COVER_PX = 72
NO_COVER = '<span class="cover"></span>'


def show_switcher(studio: "Studio", project: int | None) -> Any:
    """The list as it is now: a first picture was added, something was learned.

    A screen may be chosen before the page knows its project: then there is nothing to show yet.
    """
    return gr.skip() if project is None else switcher_html(studio.projects.all(), project)


def switcher_html(views: Sequence[ProjectView], project: int | None) -> str:
    """The open project with its first picture; behind it all others, and a new one."""
    current = next((view for view in views if view.id == project), None)
    if current is None:
        return ""
    rows = "".join(_row(view, is_current=view is current) for view in reversed(views))
    return (
        f'<details class="switch" data-project="{current.id}"><summary aria-label="Project: '
        f'{escape(current.name)}. Choose another." title="Choose another project">'
        f"{_cover(current)}<b>{escape(current.name)}</b></summary>"
        f'<div class="switch-list"><ul>{rows}</ul><div class="presses">'
        '<button type="button" class="press" id="new-project" data-press="new">New project</button>'
        '<button type="button" class="press press-cancel" id="delete-project" data-press="delete">'
        f"Delete {escape(current.name)}</button></div></div></details>"
    )


def _row(view: ProjectView, *, is_current: bool) -> str:
    learned = ", ".join(method_name(kind) for kind in view.artifacts) or "nothing learned yet"
    current = ' aria-current="true"' if is_current else ""
    return (
        f'<li><button type="button" class="project" data-press="open" data-project="{view.id}"'
        f"{current}>{_cover(view)}<span><b>{escape(view.name)}</b>"
        f"<small>{counted(view.num_pictures, 'picture')} · {escape(learned)}</small></span>"
        "</button></li>"
    )


def _cover(view: ProjectView) -> str:
    if view.cover is None:
        return NO_COVER
    with suppress(FileNotFoundError):
        uri = data_uri(Path(view.cover), COVER_PX)
        return f'<span class="cover"><img alt="" src="{uri}"></span>'
    return NO_COVER
