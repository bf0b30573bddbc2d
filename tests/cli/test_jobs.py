"""Jobs from the command line: what is asked is done to the real row, and said."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dyod_studio.cli.main import main
from dyod_studio.store.records import JobState
from dyod_studio.store.storage import Storage, open_storage
from tests.cli.conftest import CommandLine
from tests.services.rows import end, run, save_state, write_metrics


@pytest.fixture
def project(cli: CommandLine, tiny_base: Path, heads: Path) -> str:
    assert cli("project", "create", "heads", "--base", tiny_base).code == 0
    assert cli("dataset", "add", "heads", heads).code == 0
    return "heads"


@pytest.fixture
def storage(project: str, tmp_path: Path) -> Iterator[Storage]:
    """The storage folder that the command line writes to."""
    root = tmp_path / "storage"
    with open_storage(root, f"sqlite:///{root.resolve() / 'studio.db'}", migrate=True) as opened:
        yield opened


@pytest.fixture
def queued(cli: CommandLine, project: str) -> int:
    number: int = cli("train", project, "vae", "--set", "steps=400").document["job"]
    return number


@pytest.fixture
def failed(cli: CommandLine, storage: Storage, queued: int) -> int:
    """A job that failed after it had saved two states, the first one the better."""
    run(storage, queued)
    save_state(storage, queued, 100, 0.1)
    save_state(storage, queued, 200, 0.2, is_kept=True)
    write_metrics(storage, queued, [(step, 1 / step) for step in range(1, 211)])
    end(storage, queued, error="The disk is full.", remedy="Make room.", log_tail="line 40")
    return queued


def test_a_queued_job_is_paused_resumed_and_cancelled(cli: CommandLine, queued: int):
    assert cli("job", "pause", queued).document["state"] == "paused"
    assert cli("job", "resume", queued).document == {"job": queued, "state": "queued"}
    assert cli("job", "cancel", queued).document["state"] == "cancelled"
    refused = cli("job", "resume", queued)
    assert refused.code == 2
    assert "is cancelled; it cannot be resumed" in refused.document["error"]


def test_a_running_job_is_asked_to_save_to_sample_and_to_pause(
    cli: CommandLine, storage: Storage, queued: int
):
    run(storage, queued)
    for command in ("save", "sample", "pause"):
        assert cli("job", command, queued).code == 0
    assert cli("job", "show", queued).document["asked"] == ["pause", "save", "sample"]
    text = cli("job", "show", queued, as_json=False).out
    assert "Asked to pause, save, sample; it obeys after the step it is in." in text


def test_waiting_jobs_change_places(cli: CommandLine, project: str, queued: int):
    second = cli("train", project, "inversion").document["job"]
    assert cli("job", "move", second, 1).document["place"] == 1
    listed = cli("job", "list", project).document["jobs"]
    assert [job["id"] for job in listed] == [second, queued]
    assert cli("job", "move", second, 0).code == 2


def test_jobs_of_all_projects_are_listed_when_none_is_named(
    cli: CommandLine, project: str, tiny_base: Path, heads: Path, queued: int
):
    cli("project", "create", "other", "--base", tiny_base)
    cli("dataset", "add", "other", heads)
    cli("train", "other", "vae")
    assert [job["project"] for job in cli("job", "list").document["jobs"]] == ["heads", "other"]
    assert [job["project"] for job in cli("jobs", "other").document["jobs"]] == ["other"]
    assert "other" in cli("job", "list", as_json=False).out


def test_a_failed_job_is_shown_with_its_cause_and_remedy(cli: CommandLine, failed: int):
    text = cli("job", "show", failed, as_json=False).out
    assert "is failed" in text
    assert text.index("The disk is full.") < text.index("Make room.")


def test_the_states_of_a_job_are_listed_and_the_best_and_the_kept_are_named(
    cli: CommandLine, failed: int
):
    states = cli("job", "checkpoints", failed).document["checkpoints"]
    assert [(s["step"], s["is_best"], s["is_kept"]) for s in states] == [
        (100, True, False), (200, False, True),
    ]  # fmt: skip
    lines = cli("job", "checkpoints", failed, as_json=False).out.splitlines()
    assert "lowest loss" in lines[1]
    assert "kept" in lines[2]


@pytest.mark.parametrize(
    ("more", "start", "settings"),
    [
        ((), 200, {}),
        (("--step", 100), 100, {}),
        (("--fresh",), None, {}),
        (("--set", "learning_rate=0.0005", "--set", "steps=500"), 200, {"learning_rate": 0.0005}),
    ],
)
def test_a_job_is_trained_again_with_its_own_settings(
    cli: CommandLine, failed: int, more: tuple, start: int | None, settings: dict
):
    answer = cli("job", "retry", failed, *more)
    assert answer.code == 0, answer.out
    again = cli("job", "show", answer.document["job"]).document
    assert again["start_step"] == start
    before = cli("job", "show", failed).document["settings"]
    assert again["settings"] == {**before, **settings, "steps": again["num_steps"]}


@pytest.mark.parametrize(("step", "chosen"), [((), 100), ((200,), 200)])
def test_a_state_is_chosen_by_its_step_or_by_its_loss(
    cli: CommandLine, failed: int, step: tuple, chosen: int
):
    number = cli("job", "choose", failed, *step).document["job"]
    job = cli("job", "show", number).document
    assert (job["is_finish_only"], job["start_step"]) == (True, chosen)
    assert (
        f"Made of step {chosen} of job {failed}." in cli("job", "show", number, as_json=False).out
    )


def test_the_report_is_written_and_named(cli: CommandLine, failed: int, tmp_path: Path):
    out = tmp_path / "reports" / "run.html"
    assert cli("job", "report", failed, "--out", out).document == {"file": str(out)}
    assert "The disk is full." in out.read_text(encoding="utf-8")


def test_what_is_not_there_is_refused_in_one_sentence(
    cli: CommandLine, queued: int, failed: int, tmp_path: Path
):
    asked = (
        ("job", "retry", failed, "--step", 150),
        ("job", "choose", failed, 150),
        ("job", "retry", failed, "--fresh", "--step", 100),
        ("job", "retry", failed, "--set", "width=64"),
        ("job", "pause", failed),
        ("job", "save", failed),
        ("job", "checkpoints", 99),
        ("job", "report", failed, "--out", tmp_path / "run.pdf"),
        ("worker", "--once", "--drain"),
        ("train", "heads", "vae", "--measure"),
        ("train", "heads", "vae", "--plan", "--wait"),
    )
    for arguments in asked:
        answer = cli(*arguments)
        assert answer.code == 2, arguments
        assert answer.document["error"].endswith(".")
    assert len(cli("job", "list").document["jobs"]) == 1


def test_a_job_without_a_state_says_so(cli: CommandLine, queued: int):
    assert cli("job", "checkpoints", queued).document == {"checkpoints": []}
    assert "has saved no state yet" in cli("job", "checkpoints", queued, as_json=False).out


def test_without_jobs_the_list_says_so(cli: CommandLine, project: str):
    assert cli("job", "list").document == {"jobs": []}


@pytest.mark.parametrize("group", [["job", "--help"], ["train", "--help"], ["worker", "--help"]])
def test_help_names_every_command_and_option(capfd: pytest.CaptureFixture[str], group: list[str]):
    assert main(group) == 0
    told = capfd.readouterr().out
    named = {
        "job": ("list", "show", "cancel", "pause", "resume", "retry", "checkpoints", "choose",
                "move", "save", "sample", "report"),
        "train": ("--plan", "--measure", "--wait", "--set"),
        "worker": ("--once", "--drain"),
    }  # fmt: skip
    assert all(name in told for name in named[group[0]])


def test_a_finished_job_is_not_trained_past_its_end(
    cli: CommandLine, storage: Storage, queued: int
):
    run(storage, queued)
    save_state(storage, queued, 400, 0.1)
    end(storage, queued, JobState.SUCCEEDED)
    assert "nothing left to train" in cli("job", "retry", queued).document["error"]
    assert cli("job", "retry", queued, "--set", "steps=600").code == 0
