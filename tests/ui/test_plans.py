"""The plan before a training: what it says, and when it says that it was not measured."""

import gradio as gr
import pytest

from dyod_studio.errors import BaseModelError
from dyod_studio.ui.train.plan import ESTIMATED, MEASURED, on_measure, show_plan

BOTH = (("inversion", {}), ("vae", {}))


@pytest.fixture(autouse=True)
def no_page(monkeypatch):
    """There is no page here whose progress bar could be moved."""
    monkeypatch.setattr(gr.Progress, "__call__", lambda self, *args, **kwargs: None)


def test_both_methods_are_planned_with_memory_and_time_and_called_estimates(studio, project):
    html = show_plan(studio, BOTH, project)
    for text in ("Style word", "Shape model", "about 2 min", "1.1 GB of 6.2 GB free"):
        assert text in html
    assert html.count(ESTIMATED) == 2


def test_after_measuring_nothing_is_called_an_estimate_any_more(studio, project):
    html = on_measure(studio, BOTH, project)
    assert (html.count(ESTIMATED), html.count(MEASURED)) == (0, 2)
    assert show_plan(studio, BOTH, project) == html


def test_what_does_not_fit_is_marked_with_what_will_be_done_and_what_to_do(studio, project):
    html = show_plan(studio, [("vae", {"batch_size": 100})], project)
    for text in ("plan-tight", "worked through in halves", "Take a smaller batch"):
        assert text in html


def test_a_base_that_is_gone_is_said_in_the_panel_and_not_in_a_pop_up(studio, project, monkeypatch):
    def refuse(*args, **kwargs):
        raise BaseModelError("There is no base model '<b>moved</b>'.")

    monkeypatch.setattr(studio.training, "plan", refuse)
    html = show_plan(studio, BOTH, project)
    assert "There is no base model" in html
    assert "<b>moved" not in html


def test_without_a_project_there_is_nothing_to_plan(studio):
    assert show_plan(studio, BOTH, None) == ""
