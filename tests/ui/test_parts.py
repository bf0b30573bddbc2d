"""Trained parts on the Studio screen: what is in sight, what is chosen, what is sent."""

from pathlib import Path

import gradio as gr
import pytest
from PIL import Image

from dyod_studio.requests.part_kinds import PART_KINDS
from dyod_studio.ui.common.handlers import read_parts
from dyod_studio.ui.common.part_picker import on_choose, show_parts, show_use
from dyod_studio.ui.common.run_html import method_name
from dyod_studio.ui.draw.actions import make
from dyod_studio.ui.draw.screen import show_studio
from dyod_studio.ui.train.live import learned_chips

NAMES = ("panel", "kinds", "strength", "heard", "references", "use", "shown")
CANVAS = {"background": Image.new("RGBA", (64, 64), "red"), "layers": []}
CANVAS["composite"] = CANVAS["background"]


def shown(studio, project, before=None):
    return dict(zip(NAMES, show_parts(studio, project, before or {}), strict=True))


def test_every_method_has_a_plain_name_on_the_page():
    names = [*PART_KINDS, "evaluation"]
    assert [method_name(name) for name in names[:2]] == ["Style word", "Set style"]
    titles = {method_name(name) for name in names}
    assert len(titles) == len(names)
    assert titles.isdisjoint(names)


def test_who_trained_only_the_two_sees_no_choice(studio, project):
    studio.projects.learn(project, "inversion", "vae")
    assert shown(studio, project)["panel"]["visible"] is False


def test_only_what_is_trained_can_be_chosen_and_the_usual_is_chosen_already(studio, project):
    studio.projects.learn(project, "vae", "dreambooth", "inversion")
    updates = shown(studio, project)
    assert updates["panel"]["visible"] is True
    assert updates["kinds"]["choices"] == [
        ("Style word", "inversion"),
        ("One subject", "dreambooth"),
    ]
    assert updates["kinds"]["value"] == ["inversion"]
    assert updates["heard"]["visible"] is False
    assert updates["use"] == gr.skip()


def test_references_are_in_sight_at_once_where_an_anl_is_all_there_is(studio, project):
    studio.projects.learn(project, "anl")
    updates = shown(studio, project)
    assert (updates["kinds"]["value"], updates["heard"]["visible"]) == (["anl"], True)


def test_coming_back_to_the_screen_sends_nothing_and_keeps_what_was_chosen(studio, project):
    studio.projects.learn(project, "inversion", "anl")
    before = shown(studio, project)["shown"]
    assert show_parts(studio, project, before) == gr.skip()


def test_a_part_that_was_trained_meanwhile_appears_and_the_references_stay(studio, project):
    studio.projects.learn(project, "inversion", "anl")
    before = shown(studio, project)["shown"]
    studio.projects.learn(project, "dreambooth")
    updates = shown(studio, project, before)
    assert len(updates["kinds"]["choices"]) == 3
    assert updates["references"] == gr.skip()


def test_another_project_begins_without_the_references_of_the_last(studio, project):
    studio.projects.learn(project, "inversion", "anl")
    before = shown(studio, project)["shown"]
    other = studio.projects.create("Boots").id
    updates = shown(studio, other, before)
    assert (updates["panel"]["visible"], updates["references"]) == (False, None)
    assert updates["use"] is None


def test_a_choice_that_came_with_a_picture_stays_when_the_screen_is_first_seen(studio, project):
    studio.projects.learn(project, "inversion", "dreambooth")
    updates = dict(zip(NAMES, show_parts(studio, project, {}, ["dreambooth"]), strict=True))
    assert updates["kinds"]["value"] == ["dreambooth"]
    assert updates["use"] == gr.skip()
    boxes, strength, heard = show_use(("anl", "vae"))
    assert boxes["value"] == ["anl"]
    assert strength["visible"] is heard["visible"] is True


def test_strength_and_references_are_in_sight_only_with_a_part_that_heeds_them():
    assert [update["visible"] for update in on_choose(["anl"])[1:]] == [True, True]
    assert [update["visible"] for update in on_choose(["dreambooth"])[1:]] == [True, False]
    assert [update["visible"] for update in on_choose(["inversion"])[1:]] == [False, False]
    assert on_choose(None)[0] == []


@pytest.mark.parametrize(
    ("use", "used"), [(None, None), (["dreambooth"], ("dreambooth",)), ([], ())]
)
def test_the_choice_and_the_strength_reach_the_sampler(studio, project, tmp_path, use, used):
    studio.projects.learn(project, "inversion", "dreambooth")
    wish = dict(project=project, canvas=CANVAS, use=use, adapter_strength=0.4, mask_rate=0.3)
    make(studio, tmp_path, wish, "anna", lambda progress: None)
    (asked,) = studio.sampling.asked
    assert (asked.use, asked.adapter_strength) == (used, 0.4)
    assert (asked.conditions, asked.mask_rate) == ((), 0.0)


def test_references_and_mask_rate_reach_the_sampler_only_while_an_anl_is_used():
    pictures = [("/a.png", None), ("/b.png", "b")]
    values = {"adapter_strength": 1.0, "references": pictures, "mask_rate": 0.6}
    read = read_parts(("anl",), values)
    paths = {"condition": Path("/a.png"), "condition_2": Path("/b.png")}
    assert (read["inputs"], read["mask_rate"]) == (paths, 0.6)
    without = read_parts(("anl", "inversion"), {**values, "use": ["inversion"]})
    assert (without["inputs"], without["mask_rate"]) == ({}, 0.0)


def test_words_stand_beside_the_references_while_an_anl_is_used():
    values = {
        "references": [("/a.png", None)], "condition_text": " a red one ", "text_weight": 0.8
    }  # fmt: skip
    read = read_parts(("anl",), values)
    assert (read["condition_text"], read["text_weight"]) == ("a red one", 0.8)
    assert read_parts(("inversion",), values)["condition_text"] is None


def test_fields_that_were_never_in_sight_mean_the_default():
    assert read_parts(("inversion",), {"use": None, "references": None}) == {
        "use": None,
        "inputs": {},
        "adapter_strength": 1.0,
        "mask_rate": 0.0,
        "condition_text": None,
        "text_weight": 0.5,
    }


def test_chips_name_the_two_always_and_the_others_once_they_are_trained(studio, project):
    before = learned_chips(studio.projects.get(project))
    assert before.count("not trained") == 2
    assert "One subject" not in before
    studio.projects.learn(project, "dreambooth")
    after = learned_chips(studio.projects.get(project))
    assert "One subject: ready" in after
    assert after.count("not trained") == 2


def test_a_subject_learned_alone_is_no_missing_part(studio, project):
    assert "not learned anything yet" in show_studio(studio, project)
    studio.projects.learn(project, "dreambooth")
    assert show_studio(studio, project) == ""
