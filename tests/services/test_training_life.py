"""Steering runs, going on from what they left, and the report: on real SQLite and real files."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from dyod_studio.errors import InvalidInputError, JobStateError, NotFoundError
from dyod_studio.store.records import JobState
from tests.services.rows import end, rows_in, run, save_state, write_metrics


@pytest.fixture
def shoes(studio, tmp_path):
    """A project with one picture, so that it can be trained."""
    Image.effect_noise((64, 64), 60).save(tmp_path / "shoe.png")
    view = studio.projects.create("Shoes")
    studio.projects.add_pictures(view.id, [tmp_path / "shoe.png"])
    return view


@pytest.fixture
def job(studio, shoes):
    return studio.training.start(shoes.id, "inversion", {"steps": 400, "seed": 7})


@pytest.fixture
def failed(studio, storage, job):
    """A run that failed after step 312 and had saved three states, the middle one the best."""
    run(storage, job.id)
    for step, loss in ((100, 0.3), (200, 0.1), (300, 0.2)):
        save_state(storage, job.id, step, loss)
    write_metrics(storage, job.id, [(step, 1 / step) for step in range(1, 313)])
    storage.log_path(job.id).write_text(f"read {Path.home()}/shoes\nStep 312 of 400, loss nan.\n")
    end(
        storage, job.id, error="Loss became nan at step 312.",
        remedy="Lower the learning rate.", log_tail="Step 312 of 400, loss nan.",
    )  # fmt: skip
    return studio.training.job(job.id)


def test_a_queued_run_rests_when_it_is_paused_and_goes_on_at_its_old_place(studio, shoes, job):
    second = studio.training.start(shoes.id, "vae", {})
    assert (job.place, second.place) == (1, 2)
    paused = studio.training.pause(job.id)
    assert (paused.state, paused.place) == ("paused", 1)
    assert paused.can == ("resume", "move", "choose", "cancel")
    resumed = studio.training.resume(job.id)
    assert (resumed.state, resumed.place) == ("queued", 1)
    assert studio.training.job(second.id).place == 2


def test_what_a_running_run_is_asked_for_stands_in_its_row_and_is_not_offered_again(
    studio, storage, job
):
    run(storage, job.id)
    assert studio.training.job(job.id).can == ("pause", "save", "sample", "cancel")
    studio.training.save_now(job.id)
    studio.training.sample_now(job.id)
    asked = studio.training.pause(job.id)
    assert (asked.state, asked.asked) == ("running", ("pause", "save", "sample"))
    assert asked.can == ("resume", "cancel")
    assert studio.training.resume(job.id).asked == ("save", "sample")
    stopping = studio.training.cancel(job.id)
    assert (stopping.asked[0], stopping.can) == ("cancel", ())


@pytest.mark.parametrize("what", ["pause", "resume", "save_now", "sample_now", "cancel"])
def test_a_run_that_has_ended_obeys_nobody_any_more(studio, settings, failed, what):
    before = rows_in(settings)
    with pytest.raises(JobStateError, match=f"Job {failed.id} is failed; it cannot be"):
        getattr(studio.training, what)(failed.id)
    assert rows_in(settings) == before


def test_waiting_runs_of_all_projects_stand_in_one_line_that_a_person_can_change(
    studio, storage, shoes, job, tmp_path
):
    boots = studio.projects.create("Boots")
    studio.projects.add_pictures(boots.id, [tmp_path / "shoe.png"])
    other = studio.training.start(boots.id, "vae", {})
    third = studio.training.start(shoes.id, "vae", {})
    assert studio.training.move(third.id, 1).place == 1
    assert [entry.id for entry in studio.training.queue()] == [third.id, job.id, other.id]
    assert [entry.project for entry in studio.training.queue()] == ["Shoes", "Shoes", "Boots"]
    assert [entry.id for entry in studio.training.jobs(shoes.id)] == [third.id, job.id]
    run(storage, third.id)
    with pytest.raises(JobStateError, match="is running; only a waiting job can be moved"):
        studio.training.move(third.id, 1)
    with pytest.raises(InvalidInputError, match="counts from 1, got 0"):
        studio.training.move(job.id, 0)


def test_all_runs_are_listed_open_ones_first_then_the_newest(studio, shoes, failed):
    waiting = studio.training.start(shoes.id, "vae", {})
    newer = studio.training.start(shoes.id, "vae", {})
    studio.training.cancel(newer.id)
    assert [entry.id for entry in studio.training.jobs()] == [waiting.id, newer.id, failed.id]


def test_saved_states_are_listed_with_their_pictures_and_the_best_is_marked(studio, failed):
    states = studio.training.checkpoints(failed.id)
    assert [(state.step, state.loss) for state in states] == [(100, 0.3), (200, 0.1), (300, 0.2)]
    assert [state.is_best for state in states] == [False, True, False]
    assert all(len(state.previews) == 4 for state in states)
    with pytest.raises(NotFoundError, match="no job 99"):
        studio.training.checkpoints(99)


def test_a_failed_run_keeps_its_settings_and_goes_on_from_its_last_state(studio, failed):
    again = studio.training.retry(failed.id)
    assert (again.continues_job_id, again.start_step) == (failed.id, 300)
    assert again.settings == failed.settings
    assert again.settings["seed"] == 7
    assert (again.state, again.num_steps, again.is_finish_only) == ("queued", 400, False)
    assert studio.training.job(failed.id) == failed


def test_a_run_can_go_on_from_any_state_or_begin_afresh(studio, failed):
    chosen = studio.training.retry(failed.id, step=100)
    assert (chosen.continues_job_id, chosen.start_step) == (failed.id, 100)
    fresh = studio.training.retry(failed.id, fresh=True)
    assert (fresh.continues_job_id, fresh.start_step) == (None, None)
    assert fresh.settings == failed.settings


def test_a_run_goes_on_with_a_lower_learning_rate_or_for_more_steps(studio, failed):
    """The way out of a loss that jumped, and the way to train a good run longer."""
    calmer = studio.training.retry(failed.id, step=200, changes={"learning_rate": "0.001"})
    assert calmer.settings == {**failed.settings, "learning_rate": 0.001}
    longer = studio.training.retry(failed.id, changes={"steps": 800})
    assert (longer.num_steps, longer.start_step) == (800, 300)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_vectors": 4}, "num_vectors cannot change when a run goes on from a saved state"),
        ({"steps": 300}, "nothing left to train after step 300 of 300"),
        ({"learning_rate": 9}, "learning_rate must .*got 9"),
    ],
)
def test_a_change_that_the_saved_state_cannot_take_is_refused(
    studio, settings, failed, changes, message
):
    before = rows_in(settings)
    with pytest.raises(InvalidInputError, match=message):
        studio.training.retry(failed.id, changes=changes)
    assert rows_in(settings) == before
    if "num_vectors" in changes:
        fresh = studio.training.retry(failed.id, fresh=True, changes=changes)
        assert fresh.settings["num_vectors"] == 4


def test_a_second_failure_before_any_state_goes_on_from_where_the_first_stood(
    studio, storage, failed
):
    again = studio.training.retry(failed.id)
    run(storage, again.id)
    end(storage, again.id, error="The card is gone.")
    third = studio.training.retry(again.id)
    assert (third.continues_job_id, third.start_step) == (failed.id, 300)


def test_a_run_without_any_state_begins_afresh(studio, storage, job):
    run(storage, job.id)
    end(storage, job.id, error="The card is gone.")
    again = studio.training.retry(job.id)
    assert (again.continues_job_id, again.start_step) == (None, None)


def test_the_state_of_the_lowest_loss_is_chosen_unless_another_is_named(studio, failed):
    best = studio.training.choose(failed.id)
    assert (best.start_step, best.is_finish_only) == (200, True)
    assert studio.training.choose(failed.id, step=100).start_step == 100


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda t, i: t.retry(i, step=250), "no state of step 250: choose one of 100, 200, 300"),
        (lambda t, i: t.choose(i, step=250), "no state of step 250: choose one of 100, 200, 300"),
        (lambda t, i: t.retry(i, step=100, fresh=True), "begins at step 0, not at step 100"),
    ],
)
def test_a_state_that_is_not_there_is_refused_with_those_that_are(
    studio, settings, failed, ask, message
):
    before = rows_in(settings)
    with pytest.raises(InvalidInputError, match=message):
        ask(studio.training, failed.id)
    assert rows_in(settings) == before


def test_a_run_that_was_trained_to_its_end_is_not_continued_but_can_be_chosen_from(
    studio, storage, job
):
    run(storage, job.id)
    save_state(storage, job.id, 400, 0.1)
    end(storage, job.id, JobState.SUCCEEDED)
    with pytest.raises(InvalidInputError, match="nothing left to train after step 400 of 400"):
        studio.training.retry(job.id)
    assert studio.training.choose(job.id).start_step == 400
    assert studio.training.retry(job.id, fresh=True).state == "queued"


def test_a_state_is_chosen_while_its_run_rests_but_not_while_it_trains(studio, storage, job):
    run(storage, job.id)
    save_state(storage, job.id, 100, 0.1)
    with pytest.raises(JobStateError, match="is running: pause it or wait for its end"):
        studio.training.choose(job.id)
    with pytest.raises(JobStateError, match="is running; it can be trained again when"):
        studio.training.retry(job.id)
    end(storage, job.id, JobState.PAUSED)
    assert studio.training.choose(job.id).start_step == 100


def test_a_run_that_saved_nothing_has_nothing_to_choose(studio, job):
    studio.training.cancel(job.id)
    with pytest.raises(InvalidInputError, match="has saved no state: train it again"):
        studio.training.choose(job.id)


def test_the_report_is_one_file_that_asks_nothing_of_anybody(studio, failed, tmp_path):
    out = studio.training.report(failed.id, tmp_path / "deep" / "run.html")
    html = out.read_text(encoding="utf-8")
    for text in ("Loss became nan at step 312.", "Lower the learning rate.", "loss nan."):
        assert text in html
    assert html.count("data:image/png;base64,") == 12
    assert html.count("<polyline") == 2
    assert re.search(r"<th>seed</th><td>7</td>", html)
    sources = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"'](.{5})", html)
    assert set(sources) == {"data:"}
    assert "<script" not in html
    assert list(out.parent.iterdir()) == [out]


def test_nothing_that_a_run_says_becomes_markup_in_its_report(studio, storage, job, tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    run(storage, job.id)
    storage.log_path(job.id).parent.mkdir(parents=True, exist_ok=True)
    storage.log_path(job.id).write_text(evil)
    end(storage, job.id, error=evil, remedy=evil)
    html = studio.training.report(job.id, tmp_path / "run.html").read_text(encoding="utf-8")
    assert "<img src=x" not in html
    assert html.count("&lt;img src=x") == 3


def test_a_report_under_a_wrong_name_is_not_written(studio, failed, tmp_path):
    with pytest.raises(InvalidInputError, match=r"name it \*.html, got 'run.pdf'"):
        studio.training.report(failed.id, tmp_path / "out" / "run.pdf")
    assert not (tmp_path / "out").exists()


def test_the_text_to_copy_holds_all_that_helps_and_not_the_name_of_the_home_folder(studio, failed):
    text = studio.training.failure_text(failed.id)
    for part in (
        "DYOD Studio", "Cause: Loss became nan at step 312.", "Remedy: Lower the learning rate.",
        "steps: 0 of 400", "seed=7", "read ~/shoes", "Step 312 of 400, loss nan.",
    ):  # fmt: skip
        assert part in text
    assert str(Path.home()) not in text


def test_the_curve_of_a_resumed_run_shows_every_step_once(studio, storage, job):
    write_metrics(storage, job.id, [(1, 0.9), (2, 0.8), (3, 0.7), (2, 0.5), (3, 0.4), (4, 0.3)])
    assert studio.training.losses(job.id) == [(1, 0.9), (2, 0.5), (3, 0.4), (4, 0.3)]


def test_every_view_of_a_run_becomes_json(studio, failed):
    from dyod_studio.services.views import to_json

    document = json.loads(json.dumps(to_json(failed)))
    assert document["settings"]["seed"] == 7
    assert document["can"] == ["retry", "choose"]
