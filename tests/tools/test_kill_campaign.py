"""The campaign in short: one job, one worker and one page are killed, with a tiny base model."""

import psutil
import pytest

from dyod_studio.requests.part_kinds import training_methods
from tests.training.needed import with_needed
from tools.kill_campaign import Campaign, Run, run_campaign

TINY = {
    "vae": {
        "steps": 60,
        "batch_size": 2,
        "num_coordinates": 4,
        "width": 4,
        "checkpoint_every": 7,
        "preview_every": 20,
    }
}


LONG = {"vae": TINY["vae"] | {"steps": 2000, "checkpoint_every": 500, "preview_every": 1000}}
"""Seconds after its first steps are seen, this one is still running, on a fast machine too."""


EVERY_METHOD = {
    method: with_needed(
        method, {"steps": 300, "batch_size": 2, "checkpoint_every": 20, "preview_every": 1000}
    )
    for method in training_methods()
    if method != "vae"
}
"""Hundreds of steps: when the second twenty of them are seen, most are still to be made."""


@pytest.fixture
def runs():
    return TINY


@pytest.fixture
def campaign(base_folders, tmp_path, runs):
    base, targets = str(base_folders["starter"]), ("job", "worker", "page")
    made = Campaign(tmp_path, seed=3, base=base, runs=runs, targets=targets)
    yield made
    made.stop()
    made.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_runs_whose_job_worker_and_page_are_killed_end_as_if_nothing_had_happened(campaign):
    runs = run_campaign(campaign, 3)
    assert sorted(kill.partition("@")[0] for run in runs for kill in run.kills) == [
        "job",
        "page",
        "worker",
    ]
    assert [run.faults(TINY["vae"]["checkpoint_every"]) for run in runs] == [[]] * len(runs)
    assert campaign.processes() == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("runs", [LONG], ids=["long"])
def test_a_run_that_is_paused_outlives_a_stop_of_the_whole_studio_and_ends_the_same(campaign):
    baseline = campaign.prepare()["vae"]
    with campaign.serving():
        paused = campaign.pause_after_steps("vae", 10)
    assert campaign.processes() == []
    with campaign.serving():
        run = campaign.resume("vae", paused, baseline)
    assert run.faults(0) == []


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("runs", [EVERY_METHOD], ids=["every method"])
def test_every_method_is_paused_resumed_and_killed_and_ends_with_the_very_bytes(campaign):
    baselines, ended = campaign.prepare(), {}
    with campaign.serving():
        for method, baseline in baselines.items():
            paused = campaign.pause_after_steps(method, 10)
            ended[method] = campaign.resume_and_kill(method, paused, 50, baseline)
    faults = {
        method: run.faults(EVERY_METHOD[method]["checkpoint_every"])
        for method, run in ended.items()
    }
    assert faults == {method: [] for method in EVERY_METHOD}
    assert {method: len(run.kills) for method, run in ended.items()} == dict.fromkeys(ended, 1)
    assert campaign.processes() == []


@pytest.mark.parametrize(
    ("run", "fault"),
    [
        (Run("vae", state="failed", is_identical=True), "it ended failed"),
        (Run("vae", state="succeeded", repeated=[3, 8], is_identical=True), "it repeated 8 steps"),
        (Run("vae", state="succeeded"), "its artifact differs"),
    ],
)
def test_whatever_is_lost_is_told(run, fault):
    assert run.faults(7) == [fault]


def test_only_processes_of_the_campaigns_own_storage_are_ever_killed(campaign):
    assert campaign.processes() == []
    assert psutil.Process() not in campaign.processes()
