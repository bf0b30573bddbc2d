"""Measuring from the command line: the whole way on a tiny base, a report again, bad input."""

import json

import pytest

from dyod_studio.store.storage import open_storage
from tests.cli.conftest import CommandLine
from tests.services.evaluated import add_parts, measured

OUT = "report"


@pytest.fixture
def project(cli: CommandLine, tiny_base, heads) -> str:
    assert cli("project", "create", "heads", "--base", tiny_base).code == 0
    assert cli("dataset", "add", "heads", heads).code == 0
    return "heads"


@pytest.mark.slow
def test_a_project_is_trained_and_measured_by_the_command(cli, cli_process, project, tmp_path):
    small = ("--set", "steps=2", "--set", "batch_size=2")
    assert cli_process("train", project, "inversion", *small, "--wait").code == 0
    assert cli_process("train", project, "vae", *small, "--wait").code == 0
    answer = cli_process(
        "evaluate", project, "--sweep", "t0", "--values", "0.3,0.6", "--num", 5, "--steps", 5,
        "--metrics", "kid,copies", "--text", "a head", "--out", tmp_path / OUT,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert answer.document["state"] == "succeeded"
    assert [path.rsplit(".")[-1] for path in answer.document["files"]] == ["html", "pdf", "json"]
    found = json.loads((tmp_path / OUT / "evaluation.json").read_text())
    assert [point["calls"] for point in found["points"]] == [2, 3, 5, 0]


def test_the_report_of_an_evaluation_can_be_written_again(cli, project, tmp_path):
    root = tmp_path / "storage"
    with open_storage(root, f"sqlite:///{root.resolve() / 'studio.db'}", migrate=True) as storage:
        add_parts(storage, 1, "inversion", "vae")
        from dyod_studio.bootstrap import build_studio
        from dyod_studio.settings import Settings

        studio = build_studio(Settings(storage=root), storage, lambda request: None)
        job = studio.evaluation.start(project)
        measured(storage, job.id)
    answer = cli("evaluate", project, "--job", job.id, "--out", tmp_path / OUT, as_json=False)
    assert answer.code == 0, answer.err
    assert "Pictures come closest to your set" in answer.out
    assert "Measured with CLIP of starter:" in answer.out
    assert f"Wrote {tmp_path / OUT / 'evaluation.pdf'}." in answer.out
    assert cli("evaluate", project, "--job", 99, "--out", tmp_path / OUT).code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--values", "0.2,much"), "must be numbers with commas between them, got 'much'"),
        (("--sweep", "colour"), "'colour' cannot be swept: choose one of t0, mask-rate"),
        (("--metrics", "beauty"), "no figure 'beauty'"),
        (("--num", "3"), "got 3 made ones"),
        ((), "no trained vae yet: train 'vae' first"),
    ],
)
def test_what_cannot_be_measured_is_said_and_nothing_is_queued(
    cli, project, tmp_path, arguments, message
):
    root = tmp_path / "storage"
    if arguments:
        with open_storage(
            root, f"sqlite:///{root.resolve() / 'studio.db'}", migrate=True
        ) as storage:
            add_parts(storage, 1, "inversion", "vae")
    answer = cli("evaluate", project, "--out", tmp_path / OUT, *arguments)
    assert answer.code == 2
    assert message in answer.document["error"]
    assert not (tmp_path / OUT).exists()
    assert cli("jobs").document["jobs"] == []
