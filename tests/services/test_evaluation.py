"""Evaluations as the page and the command line ask for them, read them and take them along."""

import json
import re
import zlib
from dataclasses import replace
from itertools import pairwise

import pytest

from dyod_studio.errors import InvalidInputError, JobStateError
from dyod_studio.evaluation.plan import baseline_name
from dyod_studio.evaluation.results import Figure
from dyod_studio.services.evaluation.plot import plot_of, svg_of
from dyod_studio.services.evaluation.summary import summary_of
from dyod_studio.services.evaluation.views import EvaluationSettings
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.records import JobState
from tests.datasets.pictures import many
from tests.services.evaluated import CURVE, add_parts, measured

SWEEP = EvaluationSettings(values=tuple(CURVE), num=10)


@pytest.fixture
def toys(studio, storage, tmp_path):
    """A project of twelve pictures with an inversion and a vae."""
    project = studio.projects.create("Toys & dolls")
    studio.projects.add_pictures(project.id, [many(tmp_path / "set", 12)])
    add_parts(storage, project.id, "inversion", "vae")
    return studio.projects.get(project.id)


def test_a_sweep_is_measured_summed_up_and_advises_the_t0_until_something_is_trained_anew(
    studio, storage, toys, tmp_path
):
    assert studio.evaluation.advice(toys.id) is None
    job = studio.evaluation.start(toys.id, SWEEP)
    assert (job.kind, job.num_steps, job.can) == ("evaluation", 80, ("pause", "move", "cancel"))
    assert studio.evaluation.get(job.id).summary == ()
    with pytest.raises(InvalidInputError, match=f"Evaluation {job.id} has measured nothing yet"):
        studio.evaluation.report(job.id, tmp_path / "out")
    measured(storage, job.id)

    (view,) = studio.evaluation.all("Toys & dolls")
    assert (view.num_points, len(view.swept), len(view.baselines)) == (8, 6, 2)
    assert view.summary == (
        "Pictures come closest to your set with “How much may change (t0)” at 0.55; anything from "
        "0.5 to 0.6 is nearly as good, and at 0.5 a picture is drawn 2 times as fast as from the "
        "prompt alone.",
        "They are 3.2 times as close as with the prompt alone and 9.5 times as close as with "
        "the shape model alone.",
    )
    advice = studio.evaluation.advice(toys.id)
    assert (advice.t0, advice.low, advice.high) == (0.55, 0.5, 0.6)
    assert studio.evaluation.start(toys.id, EvaluationSettings(sweep="guidance")).settings[
        "t0"
    ] == pytest.approx(0.55)
    add_parts(storage, toys.id, "inversion", variant="newer")
    assert studio.evaluation.advice(toys.id) is None


def test_the_report_is_one_html_file_one_pdf_and_one_json_document(studio, storage, toys, tmp_path):
    job = studio.evaluation.start(toys.id, SWEEP)
    measured(storage, job.id, copies=(1,))
    html, pdf, document = studio.evaluation.report(job.id, tmp_path / "new" / "out")
    assert sorted(path.name for path in html.parent.iterdir()) == [
        "evaluation.html", "evaluation.json", "evaluation.pdf",
    ]  # fmt: skip
    text = html.read_text(encoding="utf-8")
    assert "How close is Toys &amp; dolls to its pictures?" in text
    assert "Measured with CLIP of starter" in text
    assert "2 of the 80 pictures repeat one of your set: compare them." in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert text.count("data:image/png") == 2 * 8 + 4 + 2
    assert text.count("data:image/webp") == 4 + 2
    assert pdf.read_bytes()[:5] == b"%PDF-"
    found = json.loads(document.read_text())
    assert found["advice"]["t0"] == 0.55
    assert found["points"][1]["figures"]["CLIP of starter"]["kid"] == {"value": 3.0, "std": 0.2}


def test_the_pdf_writes_the_letters_of_many_alphabets(studio, storage, tmp_path):
    name = "Żółw Ελλάδα Игрушки – „жёлтые“ → ½ 玩具"
    project = studio.projects.create(name)
    studio.projects.add_pictures(project.id, [many(tmp_path / "set", 12)])
    add_parts(storage, project.id, "inversion", "vae")
    job = studio.evaluation.start(project.id, SWEEP)
    measured(storage, job.id)
    _, pdf, _ = studio.evaluation.report(job.id, tmp_path / "out")
    content = pdf.read_bytes()
    assert b"DejaVuSansBold" in content
    assert b"Helvetica" not in content
    assert len(content) < 200_000
    streams = re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL)
    maps = [told for told in map(_inflated, streams) if b"beginbfchar" in told]
    codes = {int(code, 16) for told in maps for code in re.findall(rb"<(\w{4})>\s*\n", told)}
    missing = [letter for letter in name if ord(letter) not in codes]
    assert missing == ["玩", "具"]


def _inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream.strip())
    except zlib.error:
        return stream


def test_a_failed_or_stopped_evaluation_is_asked_for_again_and_keeps_what_it_measured(
    studio, storage, toys
):
    job = studio.evaluation.start(toys.id, SWEEP)
    measured(storage, job.id, num_points=3)
    assert studio.training.job(job.id).can == ("pause", "cancel")
    with pytest.raises(JobStateError, match=f"Evaluation {job.id} is running; one that failed"):
        studio.evaluation.retry(job.id)
    with storage.database.session() as session:
        JobRepository(session).move(job.id, JobState.FAILED, error="The disk is full.")
    assert studio.training.job(job.id).can == ("retry",)

    again = studio.evaluation.retry(job.id)
    assert (again.id, again.state, again.settings) == (job.id + 1, "queued", job.settings)
    kept = studio.evaluation.get(again.id).points
    assert kept == studio.evaluation.get(job.id).points
    assert len(kept) == 3
    assert all((point.folder / file).is_file() for point in kept for file in point.strip)

    studio.training.cancel(again.id)
    third = studio.training.retry(again.id)
    assert len(studio.evaluation.get(third.id).points) == 3
    studio.training.cancel(third.id)
    fresh = studio.training.retry(third.id, fresh=True)
    assert studio.evaluation.get(fresh.id).points == ()
    with pytest.raises(InvalidInputError, match="neither saved states nor settings to change"):
        studio.training.retry(third.id, changes={"num": 9})
    measured(storage, fresh.id)
    assert studio.training.job(fresh.id).can == ()
    with pytest.raises(JobStateError, match="is succeeded"):
        studio.evaluation.retry(fresh.id)


def test_a_plot_has_the_curve_its_error_bars_and_the_baselines(studio, storage, toys):
    job = studio.evaluation.start(toys.id, SWEEP)
    measured(storage, job.id)
    view = studio.evaluation.get(job.id)
    drawing = plot_of(view, "kid", "CLIP of starter")
    roles = [stroke.role for stroke in drawing.strokes]
    assert (roles.count("baseline"), roles.count("bar"), roles.count("chosen")) == (2, 18, 1)
    assert len(drawing.dots) == 6
    svg = svg_of(drawing)
    assert "t0 0.5: 2 ± 0.2" in svg
    assert plot_of(view, "fid", "CLIP of starter") is None
    assert svg_of(None) == ""


def test_the_names_of_baselines_that_lie_close_do_not_cover_each_other(studio, storage, toys):
    add_parts(storage, toys.id, "anl", variant="conditional")
    job = studio.evaluation.start(toys.id, SWEEP)
    measured(storage, job.id)
    drawing = plot_of(studio.evaluation.get(job.id), "kid", "CLIP of starter")
    names = [baseline_name(role) for role in ("prompt", "vae", "anl")]
    places = sorted(text.y for text in drawing.texts if text.words in names)
    assert len(places) == 3
    assert all(below - above >= 13 for above, below in pairwise(places))


def test_how_many_could_pass_is_said_in_words(studio, storage, toys):
    job = studio.evaluation.start(toys.id, SWEEP)
    measured(storage, job.id)
    points = studio.evaluation.get(job.id).points
    for value, words in ((0.0, "hardly any"), (0.126, "about 13 in 100"), (0.995, "nearly all")):
        shown = {"CLIP of starter": {"kid": Figure(2.0, 0.2), "precision": Figure(value)}}
        told = summary_of("t0", [replace(point, figures=shown) for point in points], None)
        assert f"; {words} could pass for" in told[1]


def test_a_sweep_of_trained_parts_compares_all_of_a_kind(studio, storage, toys):
    shas = [row for row in add_parts(storage, toys.id, "inversion", variant="longer")]
    job = studio.evaluation.start(toys.id, EvaluationSettings(sweep="artifact", num=10))
    assert len(job.settings["compared"]) == 2
    assert shas[0] in job.settings["compared"]
    measured(storage, job.id)
    view = studio.evaluation.get(job.id)
    assert [point.name for point in view.swept] == ["inversion made elsewhere"] * 2
    assert "Of 2 trained parts" in view.summary[0]


def test_a_mask_rate_is_swept_with_an_anl_that_hears(studio, storage, toys):
    sweep = EvaluationSettings(sweep="mask-rate", num=10)
    with pytest.raises(InvalidInputError, match="no trained anl that draws after pictures"):
        studio.evaluation.start(toys.id, sweep)
    (sha256,) = add_parts(storage, toys.id, "anl", variant="conditional")
    job = studio.evaluation.start(toys.id, sweep)
    measured(storage, job.id)
    points = studio.evaluation.get(job.id).swept
    assert [point.value for point in points] == [n / 10 for n in range(10)]
    assert all(point.settings["parts"] == {"anl": sha256} for point in points)
    beside = studio.evaluation.start(toys.id, EvaluationSettings(num=10))
    measured(storage, beside.id)
    roles = [point.role for point in studio.evaluation.get(beside.id).baselines]
    assert roles == ["prompt", "vae", "anl"]


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (EvaluationSettings(values=(1.5,)), r"t0 must lie in \[0, 1\], got 1.5"),
        (EvaluationSettings(num=3), "at least 4 pictures in each set, got 3 made ones and 12"),
        (EvaluationSettings(num=10**6), "num must .*30000"),
        (EvaluationSettings(metrics=("beauty",)), "There is no figure 'beauty': choose among kid"),
        (EvaluationSettings(metrics=()), "Choose at least one figure"),
        (EvaluationSettings(extractors=()), "Name at least one extractor"),
        (EvaluationSettings(sweep="colour"), "'colour' cannot be swept: choose one of t0"),
        (EvaluationSettings(use=("dreambooth",)), "train 'dreambooth' first"),
        (EvaluationSettings(sweep="artifact", compare="anl"), "no trained anl to compare"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_sentence(studio, toys, wish, message):
    with pytest.raises(InvalidInputError, match=message):
        studio.evaluation.start(toys.id, wish)
    assert studio.evaluation.all(toys.id) == []


def test_an_untrained_project_and_one_of_a_single_picture_are_refused(studio, storage, tmp_path):
    project = studio.projects.create("Lamps")
    studio.projects.add_pictures(project.id, [many(tmp_path / "one", 1)])
    with pytest.raises(InvalidInputError, match="got 100 made ones and 1 of the project"):
        studio.evaluation.start(project.id)
    studio.projects.add_pictures(project.id, [many(tmp_path / "more", 8)])
    with pytest.raises(InvalidInputError, match="no trained vae yet: train 'vae' first"):
        studio.evaluation.start(project.id)
    with pytest.raises(InvalidInputError, match="has nothing trained yet that could be measured"):
        studio.evaluation.start(project.id, EvaluationSettings(sweep="none"))
    assert studio.training.jobs(project.id) == []


def test_a_job_that_is_no_evaluation_has_no_figures(studio, toys):
    job = studio.training.start(toys.id, "vae", {"steps": 5})
    with pytest.raises(InvalidInputError, match=f"Job {job.id} is a vae, no evaluation"):
        studio.evaluation.get(job.id)
