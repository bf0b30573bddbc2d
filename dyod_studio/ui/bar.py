"""The strip on top of every screen: who we are, the project, what is running, light or dark."""

from collections.abc import Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.services.views import JobView, ProjectView
from dyod_studio.ui.common.handlers import quiet_on_timer
from dyod_studio.ui.common.html import counted, data_uri
from dyod_studio.ui.train.run_actions import watched_job
from dyod_studio.ui.train.run_html import method_name, share_done, time_left

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

COVER_PX = 72
CHOICES = """
const shut = () => element.querySelectorAll('details').forEach(menu => { menu.open = false; });
element.addEventListener('click', event => {
  const button = event.target.closest('[data-press]');
  if (!button) return;
  shut();
  const events = {open: 'select', new: 'edit', delete: 'delete'};
  trigger(events[button.dataset.press], {values: {...button.dataset}});
});
element.addEventListener('keydown', event => {
  if (event.key !== 'Escape') return;
  shut();
  element.querySelector('summary')?.focus();
});
document.addEventListener('click', event => { if (!element.contains(event.target)) shut(); });
"""
"""Runs in the browser: a press in the list of projects is an event, and the list shuts."""
SHADE = """
const dark = localStorage.getItem('dyod-dark');
if (dark !== null) document.body.classList.toggle('dark', dark === 'yes');
element.addEventListener('click', event => {
  if (!event.target.closest('#shade')) return;
  const now = document.body.classList.toggle('dark');
  localStorage.setItem('dyod-dark', now ? 'yes' : 'no');
});
"""
"""Runs in the browser, which remembers whether its owner likes it light or dark."""
BRAND = """<div class="brand">{mark}<b>DYOD Studio</b></div>"""
SHADE_BUTTON = """<button type="button" id="shade" class="press" title="Light or dark"
aria-label="Light or dark"><span aria-hidden="true">◐</span></button>"""
NO_COVER = '<span class="cover"></span>'


class Bar(NamedTuple):
    """The strip; the switcher says select, edit (a new one) and delete."""

    brand: gr.HTML
    switcher: gr.HTML
    running: gr.HTML


def build_bar(mark: str) -> Bar:
    with gr.Row(elem_id="bar"):
        brand = gr.HTML(BRAND.format(mark=mark), elem_id="brand", min_width=0)
        switcher = gr.HTML(elem_id="switcher", js_on_load=CHOICES, min_width=0)
        running = gr.HTML(elem_id="running", min_width=0)
        gr.HTML(SHADE_BUTTON, elem_id="shades", js_on_load=SHADE, min_width=0)
    return Bar(brand, switcher, running)


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


@quiet_on_timer
def describe_running(studio: "Studio", project: int | None) -> str:
    """What trains right now, of this project or another; empty when nothing does."""
    active = studio.training.queue()
    own = [job for job in active if job.project_id == project]
    job = watched_job([job for job in active if job.state == "running"] or own or active, None)
    return running_html(job, project, num_more=len(active) - 1) if job else ""


def running_html(job: JobView, project: int | None, *, num_more: int) -> str:
    """A run in a few words; a press on it leads to the Train screen."""
    percent = {"running": f"{100 * share_done(job):.0f}%", "paused": "paused"}
    words = [
        method_name(job.kind), percent.get(job.state, "waiting"), time_left(job.seconds_left),
        f"in {job.project}" if job.project_id != project else "",
        f"{num_more} more" if num_more else "",
    ]  # fmt: skip
    text = escape(" · ".join(word for word in words if word))
    share = f"{100 * share_done(job):.0f}%"
    return (
        f'<button type="button" class="running running-{escape(job.state)}" data-go="train"'
        f' style="--done:{share}" title="Look at the training"><i></i><span>{text}</span></button>'
    )
