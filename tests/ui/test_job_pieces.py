"""HTML about runs: what it says, what can be pressed, and that nothing becomes markup."""

import re

import pytest

from dyod_studio.ui.common.run_html import (
    failure_card,
    memory,
    run_actions,
    run_card,
    run_list,
    time_left,
)
from dyod_studio.ui.train.live import states_html
from tests.ui.fake_training import a_job

EVIL = '<img src=x onerror="alert(1)">'


def presses(html: str) -> list[str]:
    return re.findall(r'data-press="(\w+)"', html)


@pytest.mark.parametrize(
    ("state", "names"),
    [
        ("queued", ["pause", "cancel"]),
        ("running", ["pause", "save", "sample", "cancel"]),
        ("paused", ["resume", "cancel"]),
        ("succeeded", ["again", "edit"]),
        ("cancelled", ["retry", "again", "edit"]),
        ("failed", []),
    ],
)
def test_a_run_offers_what_can_be_asked_of_it_and_nothing_else(state, names):
    assert presses(run_actions(a_job(state=state), has_state=True)) == names


def test_a_running_run_shows_percent_loss_time_and_memory():
    card = run_card(a_job(peak_memory_mb=1090.0))
    for text in ("training · 25%", "50 of 200 steps", "loss 0.25", "about 2 min left", "1.1 GB"):
        assert text in card


def test_an_evaluation_measures_pictures_and_goes_on_where_it_ended():
    card = run_card(a_job(kind="evaluation", can=("pause", "cancel")))
    assert "measuring · 25%" in card
    assert "50 of 200 pictures" in card
    assert "training" not in run_list([a_job(kind="evaluation")], 1, None)
    failed = a_job(kind="evaluation", state="failed", error="No space.", can=("retry",))
    again = failure_card(failed, "", has_state=False)
    assert presses(again) == ["retry", "copy"]
    assert "Go on measuring" in again
    stopped = a_job(kind="evaluation", state="cancelled", can=("retry",))
    assert presses(run_actions(stopped, has_state=False)) == ["retry"]
    done = a_job(kind="evaluation", state="succeeded", can=())
    assert presses(run_actions(done, has_state=False)) == []


def test_a_run_says_what_it_was_asked_for_what_was_changed_and_where_it_came_from():
    card = run_card(
        a_job(asked=("pause",), notes=("Half the batch at a time.",), continues_job_id=2,
              start_step=100)
    )  # fmt: skip
    for text in ("Pausing", "Half the batch at a time.", "Goes on from run 2", "step 100"):
        assert text in card
    finished = run_card(a_job(continues_job_id=2, start_step=100, is_finish_only=True))
    assert "Made of run 2" in finished


def test_a_waiting_run_says_when_its_turn_comes():
    assert "next in line" in run_card(a_job(state="queued", place=1))
    assert "number 3 in line" in run_card(a_job(state="queued", place=3))


def test_the_list_marks_the_run_that_is_looked_at_and_lets_waiting_ones_be_moved():
    jobs = [
        a_job(id=1), a_job(id=2, state="queued", place=1), a_job(id=3, state="queued", place=2),
    ]  # fmt: skip
    rows = re.findall(r'<div class="job .*?</div>', run_list(jobs, 1, 2))
    assert ["is-watched" in row for row in rows] == [False, True, False]
    assert presses(rows[0]) == ["look"]
    assert presses(rows[2]) == ["look", "move", "move"]
    assert re.findall(r'data-place="(\d)"', rows[2]) == ["1", "3"]


def test_a_run_of_another_project_is_named_but_not_opened_from_here():
    row = run_list([a_job(project_id=2, project="Icons", state="queued", place=1)], 1, None)
    assert "of Icons" in row
    assert "look" not in presses(row)


def test_a_failure_says_cause_and_remedy_shows_its_log_and_leads_on():
    job = a_job(state="failed", error="Loss became nan.", remedy="Halve it.", log_tail="line 40")
    card = failure_card(job, "the whole report", has_state=True)
    for text in ("Loss became nan.", "Halve it.", "line 40", "the whole report"):
        assert text in card
    assert presses(card) == ["retry", "again", "edit", "copy"]
    assert presses(failure_card(job, "", has_state=False)) == ["retry", "edit", "copy"]


def test_errors_notes_logs_and_names_never_become_markup(studio, project):
    job = a_job(
        state="failed", error=EVIL, remedy=EVIL, log_tail=EVIL, notes=(EVIL,), project=EVIL,
        kind=EVIL, project_id=2,
    )  # fmt: skip
    pieces = (run_card(job), failure_card(job, EVIL, has_state=True), run_list([job], 1, None))
    for html in (*pieces, run_list([job], 2, None), run_actions(job, has_state=True)):
        assert "<img" not in html


def test_states_show_their_pictures_newest_first_and_mark_the_best_and_the_kept(studio, project):
    studio.training.start(project, "vae", {})
    studio.training.advance(1, 200)
    studio.training.save_state(1, 150, is_kept=True)
    job = studio.training.change(1, state="failed")
    html = states_html(job, studio.training.checkpoints(1))
    assert re.findall(r'data-step="(\d+)"><div', html) == ["200", "150", "100"]
    assert html.count("data:image/webp;base64,") == 12
    assert (html.count("lowest loss"), html.count(">kept<")) == (1, 1)
    assert presses(html) == ["choose", "retry"] * 3


def test_states_of_a_running_run_are_shown_but_not_yet_offered(studio, project):
    studio.training.start(project, "vae", {})
    job = studio.training.advance(1, 100)
    html = states_html(job, studio.training.checkpoints(1))
    assert presses(html) == []
    assert "Once the run rests or has ended" in html
    assert states_html(job, []) == ""


def test_the_last_state_of_a_finished_run_can_be_used_but_not_trained_further(studio, project):
    studio.training.start(project, "vae", {})
    studio.training.advance(1, 800)
    job = studio.training.change(1, state="succeeded", step=800)
    newest = states_html(job, studio.training.checkpoints(1)[-1:])
    assert presses(newest) == ["choose"]


def test_a_state_whose_pictures_were_just_cleared_away_is_shown_without_them(studio, project):
    studio.training.start(project, "vae", {})
    job = studio.training.advance(1, 100)
    for path in studio.training.checkpoints(1)[0].previews:
        path.unlink()
    assert "Step 100" in states_html(job, studio.training.checkpoints(1))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (2, "a moment left"),
        (41, "about 40 s left"),
        (600, "about 10 min left"),
        (9000, "about 2.5 h left"),
    ],
)
def test_waits_are_said_as_a_person_would(seconds, words):
    assert time_left(seconds) == words


def test_memory_is_said_in_round_figures():
    assert [memory(12.4), memory(949), memory(11264)] == ["12 MB", "949 MB", "11.3 GB"]
