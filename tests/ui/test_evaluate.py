"""The Evaluate screen's handlers, and the t0 slider that begins at what was measured."""

import gradio as gr
import pytest

from dyod_studio.ui.draw.t0_advice import show_t0_advice
from dyod_studio.ui.evaluate.screen import (
    describe_evaluation,
    on_again,
    on_measure,
    on_report,
    on_stop,
)


def measure(studio, project, sweep="t0", extractor=""):
    return on_measure(studio, project, sweep, 20, 25, extractor, "")


def describe(studio, project, picked=None, metric=None, seen=None):
    return describe_evaluation(studio, project, picked, metric, seen or {})


def test_an_evaluation_is_asked_for_measured_and_shown(studio, project):
    assert "Nothing measured yet" in describe(studio, project)[1]
    update = measure(studio, project)
    assert update["value"] == 70
    (asked,) = studio.evaluation.asked
    assert (asked.sweep, asked.num, asked.num_inference_steps) == ("t0", 20, 25)
    assert "0 of 8 settings measured" in describe(studio, project)[1]

    studio.evaluation.finish(3)
    picked, card, metric, buttons, stop, again, body, seen = describe(studio, project)
    assert "3 of 8 settings measured" in card
    assert (picked["value"], metric["value"], buttons["visible"]) == (70, "kid", True)
    assert stop["visible"]
    assert not again["visible"]
    assert body.count("<svg") == 1

    studio.evaluation.finish()
    told = describe(studio, project, 70, "diversity", seen)
    card, body = told[1], told[6]
    assert not told[4]["visible"]
    assert "Pictures come closest to your set with “How much may change (t0)” at 0.55" in card
    assert "settings measured" not in card
    assert "Diversity, measured with CLIP of starter" in body
    assert body.count("data:image/webp") == 8 * 8 + 4 + 2
    assert "1 of the 160 pictures repeats one of your set" in body
    assert "<b>face</b>" not in body
    assert describe(studio, project, 70, "diversity", told[7]) == gr.skip()


def test_what_is_refused_is_said_and_an_older_evaluation_can_be_looked_at_again(studio, project):
    with pytest.raises(gr.Error, match="There is no extractor 'nonsense'"):
        measure(studio, project, extractor=" nonsense ")
    with pytest.raises(gr.Error, match="Choose a project first"):
        measure(studio, None)
    with pytest.raises(gr.Error, match="press Measure first"):
        on_stop(studio, None)
    measure(studio, project)
    studio.evaluation.finish()
    measure(studio, project, "guidance")
    picked, card, metric, *_ = describe(studio, project)
    assert [value for _, value in picked["choices"]] == [71, 70]
    assert "0 of 7 settings" in card
    assert not metric["visible"]
    assert "come closest" in describe(studio, project, 70)[1]


def test_an_evaluation_that_failed_goes_on_at_a_press(studio, project):
    measure(studio, project)
    studio.evaluation.finish(3)
    studio.evaluation.fail()
    told = describe(studio, project)
    assert "No space." in told[1]
    assert (told[4]["visible"], told[5]["visible"]) == (False, True)
    update = on_again(studio, project, 70)
    assert update["value"] == 71
    told = describe(studio, project, 71)
    assert "3 of 8 settings measured" in told[1]
    assert not told[5]["visible"]
    with pytest.raises(gr.Error, match="press Measure first"):
        on_again(studio, project, None)


def test_a_report_is_handed_over_as_html_or_pdf(studio, project, tmp_path):
    measure(studio, project)
    studio.evaluation.finish()
    for suffix in ("html", "pdf"):
        update = on_report(studio, tmp_path / "scratch", suffix, 70)
        assert update["value"].endswith(f"evaluation.{suffix}")


def test_the_slider_begins_at_the_advised_t0_once_and_then_keeps_to_the_hand(studio, project):
    first = show_t0_advice(studio, 0.5, project, (None, None))
    assert (first[0]["value"], first[1], first[2]) == (0.5, "", (project, None))
    measure(studio, project)
    studio.evaluation.finish()
    slider, curve, applied = show_t0_advice(studio, 0.5, project, first[2])
    assert slider["value"] == 0.55
    assert "closest to your set at 0.55, nearly as good from 0.5 to 0.6" in curve
    kept = show_t0_advice(studio, 0.5, project, applied)
    assert kept[0] == gr.skip()
    assert kept[1] == curve
