"""HTML pieces: what they say, and that nothing a person typed becomes markup."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dyod_studio.datasets.found import DuplicateFile, RejectedFile
from dyod_studio.studio.views import (
    GenerationView,
    ImportReport,
    JobView,
)
from dyod_studio.ui.pieces import counted, import_report, job_card, parameter_table, time_left

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
EVIL = '<img src=x onerror="alert(1)">'


def a_job(**values: object) -> JobView:
    facts = {
        "id": 3, "project_id": 1, "kind": "vae", "state": "running", "step": 50, "num_steps": 200,
        "loss": 0.25, "seconds_left": 125.0, "error": None, "log_tail": "", "previews": (),
        "artifacts": (), "created_at": NOW,
    }  # fmt: skip
    return JobView(**{**facts, **values})


def test_the_report_names_every_file_and_its_reason():
    report = ImportReport(
        3, (RejectedFile("a b.png", "is not an image"),), (DuplicateFile("c.png", "d.png"),)
    )
    html = import_report(report)
    for text in ("3 pictures added", "1 file could not be used", "a b.png", "is not an image"):
        assert text in html
    assert "repeats d.png" in html


def test_a_long_report_says_how_many_it_leaves_out():
    rejected = tuple(RejectedFile(f"{i}.txt", "is not an image") for i in range(60))
    assert "and 10 more" in import_report(ImportReport(0, rejected, ()))


def test_file_names_and_errors_never_become_markup():
    report = import_report(
        ImportReport(0, (RejectedFile(EVIL, EVIL),), (DuplicateFile(EVIL, EVIL),))
    )
    card = job_card(a_job(state="failed", error=EVIL, log_tail=EVIL))
    table = parameter_table(
        GenerationView(
            1, "image", Path("a"), Path("b"), 1, "ff", {"prompt": EVIL}, 8, 8, NOW, False
        )
    )
    for html in (report, card, table):
        assert "<img" not in html
        assert "&lt;img" in html


def test_a_running_job_shows_percent_loss_and_time():
    card = job_card(a_job())
    for text in ("training · 25%", "50 of 200 steps", "loss 0.25", "about 2 min left"):
        assert text in card


def test_a_failed_job_shows_its_sentence_and_the_end_of_its_log():
    card = job_card(a_job(state="failed", error="Loss became nan.", log_tail="line 40"))
    assert "Loss became nan." in card
    assert "line 40" in card


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


def test_one_is_not_written_as_many():
    assert counted(1, "picture") == "1 picture"
    assert counted(1200, "picture") == "1,200 pictures"


def test_the_table_holds_every_parameter():
    parameters = {"t0": 0.5, "free_noise": False, "artifacts": {"vae": "ab" * 32}, "prompt": None}
    view = GenerationView(
        7, "image", Path("a"), Path("b"), 11, "cd" * 32, parameters, 128, 128, NOW, False
    )
    table = parameter_table(view)
    for text in ("from a sketch", "128 x 128", ">11<", ">0.5<", "free noise", "vae abababab"):
        assert text in table
    assert "prompt" not in table
