"""Whatever stands in any field of any screen: a sentence at most, and nothing else goes wrong."""

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from dyod_studio.ui.common.controls import Slider
from dyod_studio.ui.page import build_page

HUGE = "9" * 400
TYPED = ("   ", "-1", "nan", "²", HUGE, "<b>\x00</b>", "../../x")
NUMBERS = (None, 0.5, -1e18, 1e18)
AMISS: dict[type[gr.components.Component], tuple[Any, ...]] = {
    gr.Textbox: TYPED,
    gr.Number: NUMBERS,
    Slider: NUMBERS,
    gr.Dropdown: ("no such choice",),
    gr.Radio: ("no such choice",),
    gr.CheckboxGroup: ([], ["no such choice"]),
    gr.DateTime: (None, "", "yesterday", HUGE),
}


@pytest.fixture
def learned(studio, project) -> int:
    """A project that has everything a screen asks for."""
    studio.projects.learn(project, "inversion", "vae", "anl")
    return int(project)


def asked_with(event: Any, place: int, value: Any, state: SessionState, page: gr.Blocks) -> Any:
    """What happens when one field holds ``value`` and every other what it begins with."""
    inputs = [None if isinstance(part, gr.State) else part.value for part in event.inputs]
    inputs[place] = value
    return page.process_api(event, inputs, state=state, request=gr.Request())


async def faults(studio: Any, project: int, scratch: Path) -> tuple[int, list[str]]:
    """How often a field was filled amiss, and what of it ended in anything but a sentence."""
    page = build_page(studio, scratch)
    state = SessionState(page)
    opened = page.blocks[next(iter(project_state(page)))]
    num_asked, found = 0, []
    for event in [event for event in page.fns.values() if event.fn]:
        for place, part in enumerate(event.inputs):
            for value in next((AMISS[kind] for kind in AMISS if type(part) is kind), ()):
                state[opened._id] = project
                num_asked += 1
                try:
                    await asked_with(event, place, value, state, page)
                except gr.Error as told:
                    if "\n" in str(told.message).strip():
                        found.append(f"{part.elem_id} = {value!r:.20}: {told.message}")
                except Exception as exc:
                    where = f"{event.name}, {part.elem_id} = {value!r:.20}"
                    found.append(f"{where}: {type(exc).__name__}: {str(exc)[-160:]}")
    return num_asked, found


def project_state(page: gr.Blocks) -> set[int]:
    """The one place that nearly every event reads: which project is open."""
    read = [part._id for event in page.fns.values() for part in event.inputs]
    states = {part for part in read if isinstance(page.blocks[part], gr.State)}
    return {max(states, key=read.count)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_field_of_any_screen_can_be_filled_so_that_the_page_breaks(studio, learned, tmp_path):
    num_asked, found = asyncio.run(faults(studio, learned, tmp_path))
    assert num_asked > 300
    assert found == []
