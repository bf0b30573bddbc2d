"""Opening, making and deleting projects."""

import gradio as gr
import pytest

from dyod_studio.ui.common.controls import pager_updates, turned
from dyod_studio.ui.projects import (
    free_name,
    on_ask,
    on_choose,
    on_create,
    on_create_example,
    on_delete,
    on_open,
)

PROJECT, REMEMBERED, SWITCHER, START_PANEL, WORKSPACE, TABS = 0, 1, 2, 3, 6, 7
SCREENS = ("pictures", "studio")


def test_an_empty_studio_opens_on_the_form_that_makes_the_first_project(studio):
    updates = on_open(studio, SCREENS, None, {})
    assert updates[PROJECT] is None
    assert updates[START_PANEL]["visible"] is True
    assert updates[WORKSPACE]["visible"] is False


def test_a_browser_gets_back_the_project_it_had_open(studio):
    first = studio.projects.create("a").id
    studio.projects.create("b")
    assert on_open(studio, SCREENS, first, {})[PROJECT] == first


def test_a_browser_that_remembers_a_deleted_project_gets_the_newest(studio, project):
    updates = on_open(studio, SCREENS, 99, {})
    assert updates[PROJECT] == updates[REMEMBERED] == project
    assert "visible" not in updates[WORKSPACE]


def test_the_switcher_shows_every_project_with_its_picture_and_what_it_has_learned(studio, project):
    other = studio.projects.create("Icons <b>").id
    studio.projects.learn(project, "vae")
    switcher = on_choose(studio, other)[SWITCHER]
    assert f'<details class="switch" data-project="{other}">' in switcher
    assert "Icons &lt;b&gt;" in switcher
    assert "24 pictures · Shape model" in switcher
    assert switcher.count("data:image/webp") == 1, "the empty project has no cover"
    assert switcher.count('aria-current="true"') == 1


def test_a_project_that_is_gone_cannot_be_chosen(studio, project):
    with pytest.raises(gr.Error, match="no project 99"):
        on_choose(studio, 99)


def test_an_address_leads_to_a_project_and_a_screen(studio, project):
    studio.projects.create("Newest")
    updates = on_open(studio, SCREENS, None, {"project": str(project), "screen": "studio"})
    assert updates[PROJECT] == project
    assert updates[TABS].selected == "studio"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"project": "99"}, "There is no project 99."),
        ({"project": "-1"}, "The address asks for project '-1', which is no number."),
        ({"project": "9" * 40}, "which is no number."),
        ({"screen": "attic"}, "There is no screen 'attic'; there are pictures, studio."),
    ],
)
def test_an_address_that_leads_nowhere_is_said_and_the_page_opens_all_the_same(
    studio, project, monkeypatch, query, sentence
):
    said = []
    monkeypatch.setattr(gr, "Warning", said.append)
    assert on_open(studio, SCREENS, None, query)[PROJECT] == project
    assert len(said) == 1
    assert sentence in said[0]


def test_a_new_project_is_opened_and_the_form_is_empty_again(studio):
    *updates, name, base = on_create(studio, "  Shoes ", None)
    assert studio.projects.get(updates[PROJECT]).name == "Shoes"
    assert (name, base) == ("", "")


@pytest.mark.parametrize("name", [None, "", "   "])
def test_a_project_without_a_name_is_refused_in_a_sentence(studio, name):
    with pytest.raises(gr.Error, match="name"):
        on_create(studio, name, None)


def test_a_taken_name_is_refused_in_a_sentence(studio, project):
    with pytest.raises(gr.Error, match="Toy heads"):
        on_create(studio, "Toy heads", None)


def test_one_button_makes_a_project_of_the_example_pictures(studio):
    updates = on_create_example(studio, None, None)
    view = studio.projects.get(updates[PROJECT])
    assert (view.name, view.num_pictures) == ("Example", 24)


def test_a_second_example_gets_a_name_of_its_own(studio):
    studio.projects.create("Example")
    assert free_name(studio, "Example") == "Example 2"


def test_deleting_is_asked_with_the_name_and_what_would_go(studio, project):
    panel, question = on_ask(studio, project)
    assert panel["visible"] is True
    assert "Toy heads" in question
    assert "24 pictures" in question
    assert studio.projects.all()


def test_deleting_the_last_project_leads_back_to_the_form(studio, project):
    updates = on_delete(studio, project)
    assert studio.projects.all() == []
    assert updates[START_PANEL]["visible"] is True


@pytest.mark.parametrize(
    ("offset", "pages", "total", "expected"),
    [(0, 1, 100, 60), (60, 1, 100, 60), (60, -1, 100, 0), (0, -1, 100, 0), (0, 1, 60, 0)],
)
def test_turning_pages_stays_within_the_pictures(offset, pages, total, expected):
    assert turned(offset, pages, total) == expected


def test_the_pager_shows_only_when_there_is_more_than_a_page():
    assert pager_updates(0, 60)[0]["visible"] is False
    row, _, before, where, after = pager_updates(60, 130)
    assert row["visible"] is True
    assert (before["interactive"], after["interactive"]) == (True, True)
    assert where == "61 to 120 of 130"
