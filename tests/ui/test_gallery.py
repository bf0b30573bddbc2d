"""The Gallery screen's handlers."""

import zipfile
from pathlib import Path

import gradio as gr
import pytest

from dyod_studio.requests.sampling import SampleRequest
from dyod_studio.services.gallery.views import GalleryFilter
from dyod_studio.ui.gallery.actions import (
    on_again,
    on_compare,
    on_every,
    on_favorite,
    on_look,
    on_mark,
    on_remove,
    on_undo,
)
from dyod_studio.ui.gallery.filter import NO_FILTER, filter_of
from dyod_studio.ui.gallery.import_export import file_stem, on_bring, on_export, on_import
from dyod_studio.ui.gallery.page import show_gallery
from dyod_studio.ui.gallery.screen import on_filter, on_open, on_project, on_turn

SUMMARY, THUMBS, VIEWS = range(3)
PAGE = 8
"""How many values ``show_gallery`` gives."""
UNDO, TRAY = 3, 6
BIN = ("", "bin", *NO_FILTER[2:])
FAVORITES = ("", "favorites", *NO_FILTER[2:])


def make(studio, project: int, number: int, start: str = "distribution", **values) -> None:
    settings = SampleRequest(kind=start, num_images=number, **values)
    studio.sampling.sample(project, settings)


def ids(updates) -> list[int]:
    return [view.id for view in updates[VIEWS]]


def test_an_empty_gallery_says_what_will_be_here_and_where_to_go_on(studio, project):
    updates = show_gallery(studio, project)
    assert "Nothing made yet" in updates[SUMMARY]
    assert 'data-go="explore"' in updates[SUMMARY]
    assert updates[THUMBS]["visible"] is False
    assert len(updates) == PAGE
    assert "like that" in on_filter(studio, project, "zebra", *NO_FILTER[1:])[SUMMARY]
    assert "bin is empty" in on_filter(studio, project, *BIN)[SUMMARY]


def test_the_newest_picture_comes_first_and_older_ones_are_a_page_away(studio, project):
    make(studio, project, 64)
    make(studio, project, 1)
    updates = show_gallery(studio, project)
    assert ids(updates)[:3] == [65, 64, 63]
    assert "65 pictures made" in updates[SUMMARY]
    assert ids(on_turn(studio, 1, project, *NO_FILTER, 0)) == [5, 4, 3, 2, 1]
    assert ids(on_turn(studio, 1, project, *NO_FILTER, 60)) == [5, 4, 3, 2, 1]


def test_a_filter_shows_what_it_lets_pass_and_another_project_forgets_it(studio, project):
    make(studio, project, 2)
    make(studio, project, 1, "prompt", prompt="a red toy")
    assert ids(on_filter(studio, project, "RED", *NO_FILTER[1:])) == [3]
    shown = on_open(studio, project, "", "all", "prompt", *NO_FILTER[3:])
    assert ids(shown) == [3]
    kinds, parts = shown[PAGE:]
    assert kinds["choices"] == [
        ("Everything", "any"), ("New picture", "distribution"), ("From the word", "prompt"),
    ]  # fmt: skip
    assert kinds["value"] == "prompt"
    assert parts["choices"][1][0] == "Style word, no longer here (aaaaaa)"
    fresh = on_project(studio, project)
    assert ids(fresh) == [3, 2, 1]
    assert fresh[-len(NO_FILTER) :] == NO_FILTER


def test_the_controls_become_a_filter():
    asked = filter_of(" cat ", "favorites", "image", "between", "2026-03-01", "2026-03-02 ", "a")
    assert asked == GalleryFilter(
        text="cat", only_favorites=True, kinds=("image",), part="a",
        since=asked.since, until=asked.until,
    )  # fmt: skip
    assert (str(asked.since), str(asked.until)) == ("2026-03-01", "2026-03-02")
    assert filter_of(*NO_FILTER).is_everything
    assert filter_of(None, None, None, None, None, None, None).is_everything
    assert filter_of("", "all", "any", "7", None, None, "any").since is not None


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        (("x" * 300, *NO_FILTER[1:]), "at most 200 characters"),
        (("", "all", "any", "between", "soon", None, "any"), "From needs a day such as"),
        (("", "all", "any", "between", "2026-13-01", None, "any"), "From needs a day such as"),
        (("", "all", "any", "between", "2026-02-02", "2026-02-01", "any"), "must not lie after"),
    ],
)
def test_a_filter_that_cannot_be_is_one_sentence(studio, project, filters, message):
    with pytest.raises(gr.Error, match=message):
        on_filter(studio, project, *filters)


def test_a_clicked_picture_shows_itself_in_words_and_every_parameter(studio, project):
    make(studio, project, 2)
    views = show_gallery(studio, project)[VIEWS]
    number, picture, buttons, heartbeat, delete, words, *tray = on_look(
        studio, views, False, (), project, "all", 1
    )
    assert (number, picture["value"]) == (1, str(views[1].file))
    assert (buttons["visible"], heartbeat["value"], delete["value"]) == (
        True,
        "♡ Favourite",
        "Delete",
    )
    assert "<th>Seed</th>" in words
    assert "num inference steps" in words
    assert len(tray) == TRAY


def test_several_are_chosen_by_clicks_or_all_at_once_and_two_are_compared(studio, project):
    make(studio, project, 15)
    views = show_gallery(studio, project)[VIEWS]
    chosen = ()
    for index in (0, 4, 0, 2):
        chosen = on_look(studio, views, True, chosen, project, "all", index)[6]
    assert chosen == (11, 13)
    panel, pictures, words = on_compare(studio, project, chosen)
    assert panel["visible"] is True
    assert pictures == (str(views[4].file), str(views[2].file))
    assert "number 11" in words
    for wrong in ((), (1,), (1, 2, 3)):
        with pytest.raises(gr.Error, match=f"Choose two pictures to compare, got {len(wrong)}"):
            on_compare(studio, project, wrong)
    all_chosen, shown, words, thumbs, compare, _ = on_every(studio, project, *NO_FILTER)
    assert len(all_chosen) == 15
    assert (shown["visible"], len(thumbs), compare["interactive"]) == (True, 12, False)
    assert "15 pictures chosen" in words


def test_a_favourite_is_marked_unmarked_and_marked_with_others(studio, project):
    make(studio, project, 3)
    page = on_favorite(studio, 2, project, 0, *NO_FILTER)
    assert page[-1]["value"] == "♥ Favourite"
    assert page[THUMBS]["value"][1][1] == "♥"
    assert ids(show_gallery(studio, project, filter_of(*FAVORITES))) == [2]
    assert on_favorite(studio, 2, project, 0, *NO_FILTER)[-1]["value"] == "♡ Favourite"
    on_mark(studio, (1, 2), project, 0, *NO_FILTER)
    assert ids(on_mark(studio, (3,), project, 0, *FAVORITES)) == [3, 2, 1]
    assert ids(on_mark(studio, (1, 2), project, 0, *FAVORITES)) == [3]


def test_what_was_deleted_comes_back_by_undo_or_out_of_the_bin(studio, project):
    make(studio, project, 4)
    updates = on_remove(studio, 4, (4, 1), project, 0, *NO_FILTER, is_one=True)
    assert ids(updates) == [3, 2, 1]
    gone, undo, words = updates[PAGE : PAGE + UNDO]
    assert (gone, undo["visible"]) == ((4,), True)
    assert "1 picture deleted" in words
    assert updates[PAGE + UNDO] == (1,)
    assert ids(on_undo(studio, gone, project, 0, *NO_FILTER)) == [4, 3, 2, 1]
    on_remove(studio, None, (4, 1), project, 0, *NO_FILTER, is_one=False)
    assert ids(on_filter(studio, project, *BIN)) == [4, 1]
    back = on_remove(studio, 1, (), project, 0, *BIN, is_one=True)
    assert ids(back) == [4]
    assert ids(show_gallery(studio, project)) == [3, 2, 1]
    with pytest.raises(gr.Error, match="Choose at least one picture"):
        on_remove(studio, None, (), project, 0, *NO_FILTER, is_one=True)


def test_again_leads_to_the_screen_that_made_the_picture(studio, project):
    make(studio, project, 1)
    with pytest.warns(UserWarning, match="The sketch is no longer in this storage"):
        view, tabs = on_again(studio, 1)
    assert (view.screen, tabs.selected) == ("explore", "explore")
    with pytest.raises(gr.Error, match="Click a picture first"):
        on_again(studio, None)
    with pytest.raises(gr.Error, match="Click a picture first"):
        on_favorite(studio, None, project, 0, *NO_FILTER)


def test_a_dropped_picture_sets_its_screen_and_a_dropped_project_is_opened(
    studio, project, tmp_path
):
    make(studio, project, 1)
    with pytest.warns(UserWarning, match="no longer"):
        view, tabs, brought = on_bring(studio, project, [str(tmp_path / "x.png")])
    assert (view.generation_id, tabs.selected) == (1, "explore")
    with zipfile.ZipFile(tmp_path / "Boots.zip", "w"):
        pass
    *_, brought = on_bring(studio, project, [str(tmp_path / "Boots.zip")])
    assert studio.projects.get(brought).name == "Boots"
    (tmp_path / "broken.zip").write_text("no ZIP")
    for wrong, message in (("broken.zip", "no readable ZIP"), ("x.txt", "Give a PNG picture")):
        with pytest.raises(gr.Error, match=message):
            on_bring(studio, project, [str(tmp_path / wrong)])
    with pytest.raises(gr.Error, match="no readable ZIP"):
        on_import(studio, str(tmp_path / "broken.zip"))
    with pytest.raises(gr.Error, match="Choose a project first"):
        on_bring(studio, None, [str(tmp_path / "x.png")])


def test_the_zip_carries_the_projects_name_and_the_chosen_pictures_or_all(
    studio, project, tmp_path
):
    make(studio, project, 3)
    update = on_export(studio, tmp_path / "scratch", project, "gallery")
    assert update["value"].endswith("Toy-heads-gallery.zip")
    assert "3 files" in update["label"]
    update = on_export(studio, tmp_path / "scratch", project, "gallery", (1, 3))
    assert Path(update["value"]).name == "Toy-heads-chosen.zip"
    with zipfile.ZipFile(update["value"]) as archive:
        assert len(archive.namelist()) == 2


def test_an_export_of_nothing_is_refused_in_a_sentence(studio, project, tmp_path):
    with pytest.raises(gr.Error, match="nothing to export"):
        on_export(studio, tmp_path, project, "gallery")


@pytest.mark.parametrize(
    ("name", "stem"), [("../../etc", "etc"), ("Möbel & Co", "Möbel-Co"), ("///", "project")]
)
def test_a_projects_name_makes_a_harmless_file_name(name, stem):
    assert file_stem(name) == stem
