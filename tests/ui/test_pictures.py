"""The Pictures screen: what is dropped, the set looked over, one picture in hand."""

import gradio as gr
import pytest

from dyod_studio.ui.pictures.captions import (
    EDITS,
    needed_fields,
    on_edit,
    on_table,
    show_captions,
)
from dyod_studio.ui.pictures.collection import on_aside, on_crop_mode, on_turn, show_set
from dyod_studio.ui.pictures.editor import on_caption, on_crop, on_out, on_picture
from dyod_studio.ui.pictures.screen import on_add, on_add_examples, show_pictures
from tests.ui.drawing import draw_picture

SUMMARY, CHECK, CROP_MODE, GALLERY = 0, 1, 2, 3


def test_an_empty_set_says_how_to_begin_with_one_button(studio):
    project = studio.projects.create("Empty").id
    updates = show_pictures(studio, project)
    assert "No pictures yet" in updates[SUMMARY]
    assert updates[SUMMARY].count("<button") == 1
    assert 'data-go="guide"' in updates[SUMMARY]
    assert updates[CHECK] == ""
    assert updates[GALLERY]["visible"] is False
    assert updates[-1]["visible"] is False


def test_good_files_are_added_and_bad_ones_named_with_their_reason(studio, tmp_path):
    project = studio.projects.create("Mixed").id
    good = draw_picture(tmp_path / "in" / "shoe.png", 0.3)
    bad = tmp_path / "in" / "note.txt"
    bad.write_text("no picture")
    drop, report, *shown = on_add(studio, show_pictures, project, [str(good), str(bad)])
    assert drop is None
    assert "note.txt" in report
    assert "is not an image" in report
    assert "1 picture" in shown[SUMMARY]
    assert len(shown[GALLERY]["value"]) == 1
    assert shown[-1]["visible"] is True


def test_the_example_set_is_one_press_away(studio):
    project = studio.projects.create("Example").id
    report, *_ = on_add_examples(studio, show_pictures, project)
    assert "24 pictures added" in report


def test_a_drop_without_a_project_is_refused_in_a_sentence(studio):
    with pytest.raises(gr.Error, match="Choose a project first"):
        on_add(studio, show_pictures, None, [])


def test_a_large_set_is_shown_in_pages(studio, project):
    studio.projects.add_examples(project)
    studio.projects.add_examples(project)
    first = show_set(studio, project)
    second = on_turn(studio, 1, project, 0)
    assert len(first[GALLERY]["value"]) == 60
    assert len(second[GALLERY]["value"]) == 12


def test_the_advice_and_what_stands_out_are_shown_with_a_button_for_each(studio, project):
    check = show_set(studio, project)[CHECK]
    assert "24 pictures on white: fine for a style." in check
    assert "Looks blurred" in check
    assert 'data-press="drop" data-picture="3"' in check
    left = on_aside(studio, project, 0, {"press": "drop", "picture": "3"})[CHECK]
    assert "Left out by you" in left
    assert 'data-press="keep" data-picture="3"' in left
    assert "Looks blurred" in on_aside(studio, project, 0, {"press": "keep", "picture": "3"})[CHECK]


def test_a_crop_is_moved_by_shares_of_the_room_there_is(studio, project):
    panel, picture, view, size, across, down, caption = on_picture(studio, project, 1)
    assert (panel["visible"], picture, size, caption) == (True, 2, 80, "")
    assert (across["value"], down["value"]) == (50, 50)
    assert "learned: 128 x 128" in view
    assert "learned: 64 x 64" in on_crop(studio, project, picture, 40, 100, 0)
    kept = studio.pictures.get(project, picture)
    assert (kept.crop_left, kept.crop_top, kept.crop_side) == (96, 0, 64)


def test_a_square_larger_than_the_picture_is_shown_around_it(studio, project):
    view = on_crop(studio, project, 2, 100, 50, 50)
    kept = studio.pictures.get(project, 2)
    assert (kept.crop_left, kept.crop_top, kept.crop_side) == (0, -16, 160)
    assert "aspect-ratio:160/160" in view
    assert "left:0.00%;top:10.00%;width:100.00%;height:80.00%" in view
    assert "left:0.00%;top:0.00%;width:100.00%;height:100.00%" in view


def test_all_that_are_no_squares_are_cut_or_padded_at_once(studio, project):
    assert show_set(studio, project)[CROP_MODE] == gr.update(value="auto", visible=True)
    assert on_crop_mode(studio, project, 0, "whole")[CROP_MODE]["value"] == "whole"
    with pytest.raises(gr.Error, match="Choose a project first"):
        on_crop_mode(studio, None, 0, "whole")


@pytest.mark.parametrize("percent", [(None, None, None), (-5, 1e9, 50), (0, 0, 0)])
def test_a_share_that_cannot_be_leads_to_a_square_within_the_picture(studio, project, percent):
    on_crop(studio, project, 2, *percent)
    kept = studio.pictures.get(project, 2)
    assert kept.crop_side == 32
    assert 0 <= kept.crop_left <= 160 - 32
    assert 0 <= kept.crop_top <= 128 - 32


def test_a_caption_is_kept_and_a_novel_refused_in_a_sentence(studio, project):
    on_caption(studio, project, 2, "red shoe")
    assert studio.pictures.get(project, 2).caption == "red shoe"
    with pytest.raises(gr.Error, match="500 characters"):
        on_caption(studio, project, 2, "x" * 501)
    assert studio.pictures.get(project, 2).caption == "red shoe"


def test_all_captions_stand_in_one_table_and_what_is_typed_over_is_kept(studio, project):
    summary, rows = show_captions(studio, project)
    assert "24 of 24 pictures say what they show, 0 of them in words of yours" in summary
    assert [len(rows), rows[1][2]] == [24, "face"]
    rows[1][2] = "angry face"
    typed = [*rows, ["", "", "a row that was added"]]
    assert "1 of them in words of yours" in on_table(studio, project, typed)
    assert studio.pictures.get(project, rows[1][0]).caption == "angry face"
    assert studio.pictures.get(project, rows[0][0]).caption == ""


def test_captions_are_changed_at_once(studio, project):
    summary, rows = on_edit(studio, project, "before", "flat", None)
    assert {row[2] for row in rows} == {"flat face"}
    assert "Several say: flat face (24)." in summary
    with pytest.raises(gr.Error, match="Choose a project first"):
        on_edit(studio, None, "before", "flat", None)
    assert show_captions(studio, None) == ("", [])


def test_an_edit_shows_the_fields_that_it_reads():
    shown = {edit: [field["visible"] for field in needed_fields(edit)] for _, edit in EDITS}
    assert shown["replace"] == [True, True]
    assert shown["clear"] == [False, False]
    assert shown["before"] == shown["after"] == shown["remove"] == [True, False]


def test_a_picture_in_hand_is_left_out_with_one_press(studio, project):
    panel, moved = on_out(studio, project, 2, 0)
    assert (panel["visible"], moved) == (False, 1)
    assert studio.pictures.get(project, 2).is_left_out is True
