"""The Train screen: queueing, the form, and what a run shows while it works."""

import gradio as gr
import pytest

from dyod_studio.ui.train import draw_field, on_train_both, on_train_one
from dyod_studio.ui.train_live import (
    MAX_POINTS,
    NEWEST,
    describe_running,
    describe_training,
    loss_curve,
    on_cancel,
    show_training,
    watched_job,
)
from tests.ui.fakes import METHODS, trained

LEARNED, CARDS, DETAIL, WATCHED, CANCEL, CURVE, PREVIEWS, SEEN = range(8)


def test_train_both_queues_the_word_first_and_then_the_shapes(studio, project):
    assert on_train_both(studio, project, 0) == 1
    assert [method for _, method, _ in studio.training.started] == ["inversion", "vae"]


def test_pressing_train_both_twice_queues_nothing_twice(studio, project):
    on_train_both(studio, project, 0)
    on_train_both(studio, project, 1)
    assert len(studio.training.started) == 2


def test_one_method_gets_the_values_that_were_typed_and_no_empty_ones(studio, project):
    on_train_one(studio, "vae", ("steps", "space", "note"), project, 0, 20, "latent", "")
    assert studio.training.started == [(project, "vae", {"steps": 20, "space": "latent"})]


def test_a_bad_setting_is_refused_in_a_sentence(studio, project):
    with pytest.raises(gr.Error, match="steps must be at least 1"):
        on_train_one(studio, "vae", ("steps",), project, 0, 0)


@pytest.mark.parametrize("field", [field for method in METHODS for field in method.fields])
def test_each_setting_becomes_a_field_with_its_title_help_and_default(field):
    component = draw_field(field)
    assert (component.label, component.info) == (field.title, field.help)
    assert component.value == field.default


def test_before_any_run_the_screen_says_what_to_press(studio, project):
    updates = show_training(studio, project)
    assert "Nothing trained yet" in updates[CARDS]
    assert updates[DETAIL]["visible"] is False


def test_a_running_job_shows_curve_pictures_and_can_be_cancelled(studio, project):
    job = studio.training.start(project, "vae", {})
    studio.training.advance(job.id, 300)
    updates = show_training(studio, project)
    assert "training" in updates[CARDS]
    assert updates[CANCEL]["visible"] is True
    assert len(updates[PREVIEWS]["value"]) == 4
    assert list(updates[CURVE]["value"].columns) == ["step", "loss"]


def test_nothing_is_sent_again_that_the_page_has_seen(studio, project):
    studio.training.start(project, "vae", {})
    seen = show_training(studio, project)[SEEN]
    assert describe_training(studio, project, NEWEST, seen) == gr.skip()
    studio.training.advance(1, 10)
    assert describe_training(studio, project, NEWEST, seen) != gr.skip()


def test_the_timer_survives_a_project_that_another_browser_deleted(studio, project):
    studio.training.start(project, "vae", {})
    studio.projects.delete(project)
    assert describe_training(studio, project, NEWEST, "") == gr.skip()


def test_the_run_to_watch_is_the_asked_then_the_running_then_the_next_then_the_last(
    studio, project
):
    for _ in range(3):
        studio.training.start(project, "vae", {})
    studio.training.rows[1] = trained(studio.training.rows[1])
    assert watched_job(studio.training.jobs(project), NEWEST).id == 2
    studio.training.advance(3, 5)
    assert watched_job(studio.training.jobs(project), NEWEST).id == 3
    assert watched_job(studio.training.jobs(project), 1).id == 1
    assert watched_job([studio.training.job(1)], NEWEST).id == 1
    assert watched_job([], NEWEST) is None


def test_cancel_stops_the_run_that_is_looked_at(studio, project):
    for _ in range(2):
        studio.training.start(project, "vae", {})
    on_cancel(studio, project, 2)
    assert [job.state for job in studio.training.jobs(project)] == ["queued", "cancelled"]


def test_the_bar_on_top_tells_what_trains_and_how_long_it_takes(studio, project):
    assert describe_running(studio, project) == ""
    on_train_both(studio, project, 0)
    studio.training.advance(1, 400)
    text = describe_running(studio, project)
    for word in ("Style word", "50%", "about 2 min left", "1 more waiting"):
        assert word in text


def test_a_long_curve_is_thinned_without_losing_its_end():
    curve = loss_curve([(step, float(step)) for step in range(1, 5001)])
    assert len(curve) == MAX_POINTS
    assert curve["step"].iloc[-1] == 5000
    assert curve["loss"].mean() == pytest.approx(2500.5)
