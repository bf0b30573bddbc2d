"""The guide: which step is open, what each refuses, and the first pictures by themselves."""

import gradio as gr
import pytest

from dyod_studio.ui.guide.steps import (
    CHECK,
    FIRST,
    LEARN,
    NEED,
    PICTURES,
    TRAIN,
    on_check,
    on_learn,
    on_methods,
    on_need,
    on_project,
    on_rights,
    on_start,
    show_learn,
    show_need,
)
from dyod_studio.ui.guide.training import describe_run, on_end, on_first, on_tick, show_first

BOTH = ["inversion", "vae"]


def test_the_guide_opens_where_the_project_stands(studio, project):
    assert on_project(studio, None)[1] == PICTURES
    assert on_project(studio, studio.projects.create("Empty").id)[1] == PICTURES
    assert on_project(studio, project)[1] == CHECK
    on_start(studio, project, BOTH, None)
    assert on_project(studio, project)[1] == TRAIN
    for job in (1, 2):
        studio.training.change(job, state="succeeded")
    studio.projects.learn(project, *BOTH)
    assert on_project(studio, project)[1] == FIRST


def test_nobody_goes_on_without_pictures_nor_without_the_right_to_use_them(studio, project):
    empty = studio.projects.create("Empty").id
    with pytest.raises(gr.Error, match="no pictures yet"):
        on_check(studio, empty)
    with pytest.raises(gr.Error, match="left out"):
        on_learn(studio, empty, True)
    with pytest.raises(gr.Error, match="Tick first"):
        on_learn(studio, project, None)
    on_rights(studio, project, True)
    assert studio.pictures.check(project).may_be_used is True
    assert on_learn(studio, project, True)[1] == LEARN


def test_the_proposal_comes_with_its_reasons_and_is_planned(studio, project):
    reasons, methods, noun = show_learn(studio, project)
    assert "The word, then the shapes." in reasons
    assert methods["value"] == BOTH
    assert noun["visible"] is True
    assert on_need(studio, project, BOTH, None)[1] == NEED
    assert 'data-plan="vae"' in show_need(studio, project, BOTH, "")
    with pytest.raises(gr.Error, match="at least one thing"):
        on_need(studio, project, [], None)


def test_one_thing_is_learned_under_its_name(studio, project):
    assert on_methods(["dreambooth"])["visible"] is True
    assert on_methods(["vae", "anl"])["visible"] is False
    on_start(studio, project, ["dreambooth"], " shoe ")
    assert studio.training.started == [(project, "dreambooth", {"class_noun": "shoe"})]


def test_the_style_word_begins_from_what_the_pictures_show(studio, project):
    on_start(studio, project, BOTH, " toy head ")
    told = {"initializer": "toy head"}
    assert studio.training.started == [(project, "inversion", told), (project, "vae", {})]


def test_pressing_start_twice_queues_nothing_twice(studio, project):
    on_start(studio, project, ["vae", "inversion"], None)
    on_start(studio, project, BOTH, None)
    assert [method for _, method, _ in studio.training.started] == BOTH


def test_the_training_is_shown_and_leads_to_the_first_pictures_once_it_has_ended(studio, project):
    on_start(studio, project, BOTH, None)
    studio.training.advance(1, 400)
    cards, previews, go_on, seen = describe_run(studio, project, TRAIN, {})
    assert "400 of 800 steps" in cards
    assert len(previews["value"]) == 4
    assert go_on["visible"] is False
    assert describe_run(studio, project, TRAIN, seen) == gr.skip()
    assert on_tick(studio, project, TRAIN, 0) == gr.skip()
    for job in (1, 2):
        studio.training.change(job, state="succeeded")
    studio.projects.learn(project, *BOTH)
    assert on_tick(studio, project, TRAIN, 0)[1:] == (FIRST, 1)
    assert on_tick(studio, project, CHECK, 0) == gr.skip()


def test_a_failure_stays_in_sight(studio, project):
    on_start(studio, project, BOTH, None)
    studio.projects.learn(project, "inversion")
    studio.training.change(1, state="succeeded")
    studio.training.fail(2, "Loss became nan.", "Halve the learning rate.")
    assert on_tick(studio, project, TRAIN, 0) == gr.skip()
    cards, _, go_on, _ = describe_run(studio, project, TRAIN, {})
    assert "Halve the learning rate." in cards
    assert go_on["visible"] is True


def test_the_first_pictures_are_made_once_and_shown_only_in_their_project(studio, project):
    with pytest.raises(gr.Error, match="Nothing is learned yet"):
        on_first(studio, False, project)
    studio.projects.learn(project, "inversion")
    made = on_first(studio, False, project)
    assert studio.sampling.asked[-1].kind == "prompt"
    assert show_first(made, project) == made[1]
    assert len(made[1]) == 4
    assert show_first(made, project + 1) == gr.skip()
    studio.projects.learn(project, "vae")
    on_first(studio, False, project)
    assert len(studio.sampling.asked) == 1, "there are first pictures already"
    on_first(studio, True, project)
    assert (studio.sampling.asked[-1].kind, studio.sampling.asked[-1].t0) == ("distribution", None)


def test_a_page_that_was_just_opened_makes_no_pictures_and_complains_of_nothing(studio):
    assert on_end(studio, None, 0) == gr.skip()
