"""The Gallery screen's handlers."""

import zipfile

import gradio as gr
import pytest

from dyod_studio.studio.requests import SampleSettings
from dyod_studio.ui.gallery import file_stem, on_export, on_turn, show_details, show_gallery

SUMMARY, THUMBS, VIEWS, PICTURE, DETAILS = range(5)


def make(studio, project: int, number: int) -> None:
    settings = SampleSettings(start="distribution", num_images=number)
    studio.sampling.sample(project, settings)


def test_an_empty_gallery_says_what_will_be_here(studio, project):
    updates = show_gallery(studio, project)
    assert "Nothing made yet" in updates[SUMMARY]
    assert updates[THUMBS]["visible"] is False


def test_the_newest_picture_comes_first(studio, project):
    make(studio, project, 3)
    updates = show_gallery(studio, project)
    assert [view.id for view in updates[VIEWS]] == [3, 2, 1]
    assert "3 pictures made" in updates[SUMMARY]


def test_older_pictures_are_a_page_away(studio, project):
    make(studio, project, 64)
    make(studio, project, 1)
    updates = on_turn(studio, 1, project, 0)
    assert [view.id for view in updates[VIEWS]] == [5, 4, 3, 2, 1]


def test_a_clicked_picture_shows_itself_and_how_it_was_made(studio, project):
    make(studio, project, 2)
    views = show_gallery(studio, project)[VIEWS]
    picture, table = show_details(views, 1)
    assert picture["value"] == str(views[1].file)
    assert "num inference steps" in table


def test_the_zip_carries_the_projects_name_and_every_picture(studio, project, tmp_path):
    make(studio, project, 3)
    update = on_export(studio, tmp_path / "scratch", project, "gallery")
    assert update["value"].endswith("Toy-heads-gallery.zip")
    assert "3 files" in update["label"]
    with zipfile.ZipFile(update["value"]) as archive:
        assert len(archive.namelist()) == 3


def test_an_export_of_nothing_is_refused_in_a_sentence(studio, project, tmp_path):
    with pytest.raises(gr.Error, match="nothing to export"):
        on_export(studio, tmp_path, project, "gallery")


@pytest.mark.parametrize(
    ("name", "stem"), [("../../etc", "etc"), ("Möbel & Co", "Möbel-Co"), ("///", "project")]
)
def test_a_projects_name_makes_a_harmless_file_name(name, stem):
    assert file_stem(name) == stem
