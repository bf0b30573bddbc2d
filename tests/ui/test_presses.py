"""Every button of a run does what it says, once, and never more than its state allows."""

import gradio as gr
import pytest

from dyod_studio.ui.common.run_actions import (
    CONFIRMATIONS,
    NEWEST,
    actions,
    on_action,
    on_edit,
    on_report,
)
from dyod_studio.ui.train.screen import proposed_method
from tests.ui.fake_training import METHODS


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """What the page would tell the visitor; outside of a page nobody hears it."""
    told: list[str] = []
    monkeypatch.setattr(gr, "Info", told.append)
    return told


@pytest.fixture
def failed(studio, project):
    studio.training.start(project, "vae", {})
    studio.training.advance(1, 300)
    return studio.training.fail(1, "Loss became nan.", "Halve it.")


def test_every_button_that_can_be_drawn_has_its_action(studio):
    assert set(actions(studio)) == {
        "pause", "resume", "save", "sample", "cancel", "move", "again", "retry", "choose",
    }  # fmt: skip
    assert set(CONFIRMATIONS) <= set(actions(studio))


@pytest.mark.parametrize("what", ["pause", "save", "sample", "cancel"])
def test_a_running_run_is_asked_and_stays_in_sight(studio, project, quiet, what):
    studio.training.start(project, "vae", {})
    studio.training.advance(1, 5)
    assert on_action(studio, project, NEWEST, 4, {"press": what, "job": "1"}) == (1, 5)
    assert studio.training.pressed == [(what, 1)]
    assert quiet == [CONFIRMATIONS[what]]


def test_looking_at_a_run_asks_nothing_of_it(studio, project):
    assert on_action(studio, project, NEWEST, 4, {"press": "look", "job": "2"}) == (2, 4)
    assert studio.training.pressed == []


def test_a_paused_run_goes_on(studio, project):
    studio.training.start(project, "vae", {})
    studio.training.pause(1)
    on_action(studio, project, NEWEST, 0, {"press": "resume", "job": "1"})
    assert studio.training.job(1).state == "running"


def test_a_waiting_run_is_moved_to_the_place_on_its_button(studio, project):
    studio.training.start(project, "vae", {})
    values = {"press": "move", "job": "1", "place": "3"}
    assert on_action(studio, project, NEWEST, 0, values) == (NEWEST, 1)
    assert studio.training.job(1).place == 3


def test_train_again_is_one_press_and_the_new_run_is_looked_at(studio, project, failed):
    assert on_action(studio, project, 1, 0, {"press": "again", "job": "1"}) == (2, 1)
    assert studio.training.pressed == [("fresh", 1, None)]


@pytest.mark.parametrize(("values", "step"), [({}, None), ({"step": "200"}, 200)])
@pytest.mark.parametrize("what", ["retry", "choose"])
def test_going_on_and_using_take_the_state_of_their_button(
    studio, project, failed, what, values, step
):
    on_action(studio, project, 1, 0, {"press": what, "job": "1", **values})
    assert studio.training.pressed == [(what, 1, step)]
    assert studio.training.job(2).start_step == step


def test_the_settings_of_a_run_come_back_into_the_form(studio, project, failed):
    studio.training.change(1, settings={"steps": 77, "space": "latent", "token": "<toy>"})
    proposed, method, drawer = on_edit(studio, {"press": "edit", "job": "1"})
    assert (method, drawer["open"]) == ("vae", True)
    drawn = {field.name: field.default for field in proposed_method(METHODS[1], proposed).fields}
    assert drawn == {"steps": 77, "space": "latent"}
    assert proposed_method(METHODS[0], proposed) == METHODS[0]


def test_a_button_of_a_page_that_is_behind_gets_a_sentence(studio, project):
    studio.training.start(project, "vae", {})
    studio.training.cancel(1)
    with pytest.raises(gr.Error, match="Job 1 is cancelled"):
        on_action(studio, project, NEWEST, 0, {"press": "pause", "job": "1"})


def test_the_report_of_the_run_that_is_looked_at_is_written_under_its_name(
    studio, project, failed, tmp_path
):
    studio.training.start(project, "inversion", {})
    update = on_report(studio, tmp_path / "scratch", project, 1)
    assert update["value"].endswith("run-1-vae.html")
    with open(update["value"]) as file:
        assert file.read() == "<h1>Run 1</h1>"
