"""The Train screen: queueing, the form, and what runs show while they work."""

import gradio as gr
import pytest

from dyod_studio.services.training.methods import method_views
from dyod_studio.ui.common.run_actions import NEWEST, in_order, watched_job
from dyod_studio.ui.train.live import PARTS, describe_training, show_training
from dyod_studio.ui.train.screen import (
    about,
    draw_field,
    on_plan_one,
    on_train_both,
    on_train_one,
)
from tests.ui.fake_training import METHODS, trained


def parts(updates):
    """The updates by the names of the parts that they fill."""
    return dict(zip((*PARTS, "seen"), updates, strict=False))


def test_train_both_queues_the_style_first_and_then_the_shapes(studio, project):
    assert on_train_both(studio, project, 0) == 1
    assert [method for _, method, _ in studio.training.started] == ["lora", "vae"]


def test_pressing_train_both_twice_queues_nothing_twice(studio, project):
    on_train_both(studio, project, 0)
    on_train_both(studio, project, 1)
    assert len(studio.training.started) == 2


def test_one_method_gets_the_values_that_were_typed_and_no_empty_ones(studio, project):
    on_train_one(studio, "vae", ("steps", "space", "note"), project, 0, 20, "latent", "")
    assert studio.training.started == [(project, "vae", {"steps": 20, "space": "latent"})]


@pytest.mark.parametrize("handler", [on_train_one, on_plan_one])
def test_a_bad_setting_is_refused_in_a_sentence(studio, project, handler):
    queued = (0,) if handler is on_train_one else ()
    with pytest.raises(gr.Error, match="steps must be at least 1"):
        handler(studio, "vae", ("steps",), project, *queued, 0)


def test_one_method_is_planned_with_the_values_that_were_typed(studio, project):
    html = on_plan_one(studio, "vae", ("batch_size", "note"), project, 100, "")
    assert "Take a smaller batch: 100 does not fit." in html
    assert studio.training.started == []


@pytest.mark.parametrize("field", [field for method in METHODS for field in method.fields])
def test_each_setting_becomes_a_field_with_its_title_help_and_default(field):
    component = draw_field(field)
    assert (component.label, component.info) == (field.title, field.help)
    assert component.value == field.default


def test_before_any_run_the_screen_says_what_to_press(studio, project):
    updates = parts(show_training(studio, project))
    assert "Nothing is training" in updates["jobs"]
    assert updates["detail"]["visible"] is False


def test_a_running_run_shows_curve_pictures_states_and_what_can_be_asked(studio, project):
    job = studio.training.start(project, "vae", {})
    studio.training.advance(job.id, 300)
    updates = parts(show_training(studio, project))
    assert "300 of 800 steps" in updates["card"]
    assert 'data-press="pause"' in updates["actions"]
    assert "<polyline" in updates["curve"]
    assert len(updates["previews"]["value"]) == 4
    assert "Step 300" in updates["states"]
    assert updates["failure"] == ""


def test_a_failed_run_shows_what_to_do_and_hides_it_when_another_is_looked_at(studio, project):
    for _ in range(2):
        studio.training.start(project, "vae", {})
    studio.training.fail(1, "Loss became nan.", "Halve the learning rate.")
    shown = parts(describe_training(studio, project, 1, {}))
    assert "Halve the learning rate." in shown["failure"]
    assert "Settings: steps=800" in shown["failure"]
    other = parts(describe_training(studio, project, 2, shown["seen"]))
    assert other["failure"] == ""


def test_nothing_is_sent_again_that_the_page_has_seen(studio, project):
    studio.training.start(project, "vae", {})
    seen = parts(show_training(studio, project))["seen"]
    assert describe_training(studio, project, NEWEST, seen) == gr.skip()
    studio.training.advance(1, 10)
    assert describe_training(studio, project, NEWEST, seen) != gr.skip()


def test_a_step_changes_the_bar_and_neither_list_nor_buttons_nor_states(studio, project):
    """What is pressed or read must not be drawn anew under the hand."""
    studio.training.start(project, "vae", {})
    studio.training.advance(1, 100)
    seen = parts(show_training(studio, project))["seen"]
    studio.training.change(1, step=101, loss=0.12)
    updates = parts(describe_training(studio, project, NEWEST, seen))
    unchanged = {name for name in PARTS if updates[name] == gr.skip()}
    assert unchanged == set(PARTS) - {"card"}


def test_the_timer_survives_a_project_that_another_browser_deleted(studio, project):
    studio.training.start(project, "vae", {})
    studio.projects.delete(project)
    assert describe_training(studio, project, NEWEST, {}) == gr.skip()


def test_the_run_to_watch_is_the_asked_then_the_running_then_the_next_then_the_last(
    studio, project
):
    for _ in range(3):
        studio.training.start(project, "vae", {})
    studio.training.rows[1] = trained(studio.training.rows[1])
    assert watched_job(studio.training.jobs(project), NEWEST).id == 2
    studio.training.change(2, state="paused")
    assert watched_job(studio.training.jobs(project), NEWEST).id == 3
    studio.training.advance(3, 5)
    assert watched_job(studio.training.jobs(project), NEWEST).id == 3
    assert watched_job(studio.training.jobs(project), 1).id == 1
    assert watched_job([studio.training.job(1)], NEWEST).id == 1
    assert watched_job([], NEWEST) is None


def test_runs_stand_in_the_order_of_the_queue_with_those_of_other_projects(studio, project):
    other = studio.projects.create("Icons").id
    for owner in (project, project, other, project):
        studio.training.start(owner, "vae", {})
    studio.training.rows[1] = trained(studio.training.rows[1])
    studio.training.advance(2, 5)
    studio.training.change(3, place=2)
    studio.training.change(4, place=1)
    own = studio.training.jobs(project)
    assert [job.id for job in in_order(own, [studio.training.job(3)])] == [2, 4, 3, 1]


def test_every_method_says_its_pictures_and_its_cost_and_a_baseline_what_it_is_there_for():
    told = {method.name: about(method) for method in method_views()}
    assert "For 3 to 20 pictures. Some: it draws pictures of the class" in told["dreambooth"]
    assert all("For " in text and text.endswith(".") for text in told.values())
    marked = {name for name, text in told.items() if "(for comparison)" in text}
    assert marked == {"full-finetune", "scratch"}
