"""The whole way of a designer, on the command line alone."""

import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Answer, CommandLine

QUICK = ("--set", "batch_size=2", "--set", "checkpoint_every=2", "--set", "preview_every=2")
FEW = ("--steps", 2, "--seed", 7)


def done(answer: Answer) -> dict:
    assert answer.code == 0, answer.out + answer.err
    return answer.document


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_pictures_to_an_export_and_back_to_nothing(
    cli: CommandLine, cli_process: CommandLine, tiny_base: Path, heads: Path, tmp_path: Path
):
    project = done(cli("project", "create", "Toy Heads", "--base", tiny_base))
    assert (project["name"], project["num_pictures"]) == ("Toy Heads", 0)

    (heads / "notes.png").write_text("no picture")
    report = done(cli("dataset", "add", "Toy Heads", heads))
    assert report["accepted"] == 12
    assert [Path(entry["file"]).name for entry in report["rejected"]] == ["notes.png"]
    again = done(cli("dataset", "add", "Toy Heads", heads / "head 0.png"))
    assert (again["accepted"], len(again["duplicates"])) == (0, 1)

    queued = done(cli("train", "Toy Heads", "inversion", "--set", "steps=2", *QUICK))
    assert queued == {"job": 1, "state": "queued"}
    assert done(cli("worker", "--once")) == {"jobs": 1}
    trained = done(cli("job", "show", 1))
    assert (trained["state"], trained["step"], trained["num_steps"]) == ("succeeded", 2, 2)
    assert [artifact["kind"] for artifact in trained["artifacts"]] == ["inversion"]
    vae = ("train", project["id"], "vae", "--set", "steps=3", *QUICK)
    waited = done(cli_process(*vae, "--wait"))
    assert waited == {"job": 2, "state": "succeeded", "error": None, "remedy": None}
    states = done(cli("job", "checkpoints", 2))["checkpoints"]
    assert [state["step"] for state in states] == [2, 3]
    chosen = done(cli("job", "choose", 2, 2))
    done(cli("worker", "--drain"))  # or the worker of --wait, which may not have ended yet
    assert done(cli("job", "show", chosen["job"]))["state"] == "succeeded"
    report = done(cli("job", "report", 2, "--out", tmp_path / "run.html"))
    assert "<polyline" in Path(report["file"]).read_text(encoding="utf-8")
    listed = done(cli("jobs", "Toy Heads"))["jobs"]
    assert {job["kind"] for job in listed} == {"inversion", "vae"}

    out = tmp_path / "out"
    sketch = heads / "head 3.png"
    starts = {"prompt": (), "distribution": (), "image": ("--image", sketch, "--t0", 0.5)}
    for start, more in starts.items():
        drawn = done(
            cli("sample", "Toy Heads", "--from", start, *more, "--num", 1, *FEW, "--out", out)
        )
        (image,) = drawn["images"]
        assert image["seed"] == 7
        with Image.open(image["file"]) as picture:
            assert (picture.format, picture.size) == ("PNG", (32, 32))
    assert sorted(path.name for path in out.iterdir()) == [
        f"000{number}_seed7.png" for number in (1, 2, 3)
    ]

    between = ("--a", "seed:1", "--b", sketch, "--frames", 3)
    strip = done(cli("interpolate", "Toy Heads", *between, *FEW, "--out", tmp_path / "strip"))
    assert [Path(image["file"]).name[:4] for image in strip["images"]] == ["0001", "0002", "0003"]
    moved = done(cli("traverse", "Toy Heads", "--coordinate", 0, "--frames", 3, *FEW))
    assert len(moved["images"]) == 3
    ranks = [c["rank"] for c in done(cli("coordinates", "Toy Heads"))["coordinates"]]
    assert ranks == list(range(len(ranks)))

    gallery = done(cli("gallery", "Toy Heads"))
    assert (gallery["count"], len(gallery["images"])) == (9, 9)
    for what, least in (("gallery", 9), ("artifacts", 2), ("project", 20)):
        written = done(
            cli("export", "Toy Heads", "--what", what, "--out", tmp_path / f"{what}.zip")
        )
        with zipfile.ZipFile(written["file"]) as archive:
            assert archive.testzip() is None
            assert len(archive.namelist()) == written["num_files"] >= least

    done(cli("project", "delete", "Toy Heads"))
    assert done(cli("project", "list")) == {"projects": []}
    assert cli("gallery", "Toy Heads").code == 2


@pytest.mark.slow
def test_a_plan_measures_what_was_never_measured_here_and_trains_nothing(
    cli: CommandLine, tiny_base: Path, heads: Path
):
    done(cli("project", "create", "p", "--base", tiny_base))
    done(cli("dataset", "add", "p", heads))
    plan = done(cli("train", "p", "vae", "--plan", "--set", "steps=20", *QUICK))
    assert (plan["is_estimate"], plan["fits"], plan["device"]) == (False, True, "cpu")
    assert done(cli("job", "list")) == {"jobs": []}
    again = cli("train", "p", "vae", "--plan", "--set", "steps=20", *QUICK, as_json=False)
    assert "Measured on this machine." in again.out
    assert "It fits." in again.out


@pytest.mark.slow
def test_the_same_command_twice_gives_the_same_pixels(cli: CommandLine, tiny_base: Path):
    done(cli("project", "create", "p", "--base", tiny_base))
    command = ("sample", "p", "--from", "prompt", "--prompt", "a cat", "--num", 2, *FEW)
    first, second = (done(cli(*command))["images"] for _ in range(2))
    assert [image["sha256"] for image in first] == [image["sha256"] for image in second]
    assert [image["seed"] for image in first] == [7, 8]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_subject_and_an_anl_are_trained_and_drawn_with_by_name(
    cli: CommandLine, tiny_base: Path, heads: Path
):
    done(cli("project", "create", "p", "--base", tiny_base))
    done(cli("dataset", "add", "p", heads))
    quick = ("--set", "steps=2", *QUICK)
    subject = ("--set", "class_noun=head", "--set", "prior_weight=0", "--set", "learning_rate=0.1")
    done(cli("train", "p", "dreambooth", *subject, *quick))
    done(cli("train", "p", "anl", "--set", "learning_rate=0.1", *quick))
    assert done(cli("worker", "--drain")) == {"jobs": 2}
    assert [job["state"] for job in done(cli("job", "list", "p"))["jobs"]] == ["succeeded"] * 2

    def pixels(*options: object) -> bytes:
        command = ("sample", "p", "--from", "prompt", "--prompt", "a head", "--num", 1, *FEW)
        (image,) = done(cli(*command, *options))["images"]
        with Image.open(image["file"]) as picture:
            return picture.tobytes()

    subject_only = pixels("--use", "dreambooth")
    bare = pixels("--use", "dreambooth", "--strength", 0)
    assert bare == pixels("--use", "anl", "--strength", 0) != subject_only
    told = ("--use", "anl", "--condition", heads / "head 1.png")
    after_one = pixels(*told)
    after_other = pixels("--use", "anl", "--condition", heads / "head 8.png")
    glimpsed = pixels(*told, "--mask-rate", 0.8)
    after_words = pixels("--use", "anl", "--condition-text", "a red head")
    together = pixels(*told, "--use", "dreambooth")
    assert len({bare, after_one, after_other, glimpsed, after_words, together}) == 6
    assert glimpsed == pixels(*told, "--mask-rate", 0.8)
    refused = cli("sample", "p", "--from", "prompt", "--condition", heads / "head 1.png")
    assert refused.code == 2
    assert "name it among the parts to use" in refused.document["error"]
