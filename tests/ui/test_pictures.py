"""The Pictures screen's handlers."""

import gradio as gr
import pytest

from dyod_studio.ui.pictures import on_add, on_add_examples, on_turn, show_pictures
from tests.ui.fakes import draw_picture


def test_an_empty_set_says_how_to_begin(studio):
    project = studio.projects.create("Empty").id
    summary, gallery, go_on, *_ = show_pictures(studio, project)
    assert "No pictures yet" in summary
    assert gallery["visible"] is False
    assert go_on["visible"] is False


def test_good_files_are_added_and_bad_ones_named_with_their_reason(studio, tmp_path):
    project = studio.projects.create("Mixed").id
    good = draw_picture(tmp_path / "in" / "shoe.png", 0.3)
    bad = tmp_path / "in" / "note.txt"
    bad.write_text("no picture")
    drop, report, summary, gallery, go_on, *_ = on_add(studio, project, [str(good), str(bad)])
    assert drop is None
    assert "note.txt" in report
    assert "is not an image" in report
    assert "1 picture" in summary
    assert len(gallery["value"]) == 1
    assert go_on["visible"] is True


def test_the_example_set_is_one_press_away(studio):
    project = studio.projects.create("Example").id
    report, *_ = on_add_examples(studio, project)
    assert "24 pictures added" in report


def test_a_drop_without_a_project_is_refused_in_a_sentence(studio):
    with pytest.raises(gr.Error, match="Choose a project first"):
        on_add(studio, None, [])


def test_a_large_set_is_shown_in_pages(studio, project):
    studio.projects.add_examples(project)
    studio.projects.add_examples(project)
    first = show_pictures(studio, project)
    second = on_turn(studio, 1, project, 0)
    assert len(first[1]["value"]) == 60
    assert len(second[1]["value"]) == 12
