"""The strip on top of every screen: who we are, the project, what is running, light or dark."""

from html import escape
from typing import TYPE_CHECKING, NamedTuple

import gradio as gr

from dyod_studio.services.views import JobView
from dyod_studio.ui.common.handlers import quiet_on_timer
from dyod_studio.ui.common.run_actions import watched_job
from dyod_studio.ui.common.run_html import method_name, share_done, time_left

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

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


@quiet_on_timer
def describe_running(studio: "Studio", project: int | None) -> str:
    """Line on what trains right now, of this project or another; empty when nothing does."""
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
