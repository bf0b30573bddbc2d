"""Making pictures: what the Studio and Explore screens ask the studio for."""

import gradio as gr
import pytest
from PIL import Image

from dyod_studio.studio.requests import InterpolationSettings, SampleSettings, TraversalSettings
from dyod_studio.ui.controls import training_note
from dyod_studio.ui.explore import on_new_pictures, on_start, show_traits
from dyod_studio.ui.explore_ways import end_of, on_between, on_trait
from dyod_studio.ui.strips import strip_updates
from dyod_studio.ui.studio_screen import on_make
from dyod_studio.ui.typed import guidance_in, seed_in


def canvas(colour: str = "red") -> dict[str, object]:
    picture = Image.new("RGBA", (64, 64), colour)
    return {"background": picture, "layers": [], "composite": picture}


def test_a_sketch_is_sent_as_it_was_drawn_with_every_setting(studio, project, tmp_path):
    made = on_make(studio, tmp_path, project, canvas(), 0.4, 3, "7", "2.5", 20)
    (asked,) = studio.sampling.asked
    assert isinstance(asked, SampleSettings)
    assert (asked.start, asked.t0, asked.num_images, asked.seed) == ("image", 0.4, 3, 7)
    assert (asked.guidance_scale, asked.num_inference_steps) == (2.5, 20)
    assert studio.sampling.sketches[0].getpixel((1, 1)) == (255, 0, 0)
    assert [caption for _, caption in made] == ["seed 100", "seed 101", "seed 102"]


def test_an_untouched_canvas_never_reaches_the_sampler(studio, project, tmp_path):
    with pytest.raises(gr.Error, match="The canvas is empty"):
        on_make(studio, tmp_path, project, None, 0.5, 1, "", "", 50)
    assert studio.sampling.asked == []


def test_without_a_project_the_sketch_is_refused_in_a_sentence(studio, tmp_path):
    with pytest.raises(gr.Error, match="Choose a project first"):
        on_make(studio, tmp_path, None, canvas(), 0.5, 1, "", "", 50)


def test_new_pictures_begin_from_a_shape_with_t0_or_from_the_word_with_words(studio, project):
    on_new_pictures(studio, project, "distribution", 0.3, "ignored", 4, None, None, 50)
    on_new_pictures(studio, project, "prompt", 0.3, "a big {token}", 4, None, None, 50)
    shape, word = studio.sampling.asked
    assert (shape.start, shape.t0, shape.prompt) == ("distribution", 0.3, None)
    assert (word.start, word.t0, word.prompt) == ("prompt", None, "a big {token}")


def test_only_the_controls_that_count_are_in_sight():
    assert [update["visible"] for update in on_start("prompt")] == [False, True]
    assert [update["visible"] for update in on_start("distribution")] == [True, False]


@pytest.mark.parametrize(
    ("picture", "seed", "end"),
    [("/a.png", "3", "/a.png"), (None, "3", "seed:3"), ("", " 12 ", "seed:12")],
)
def test_an_end_is_its_picture_or_else_its_seed(picture, seed, end):
    assert end_of("A", picture, seed) == end


def test_an_end_without_either_is_named(studio, project):
    with pytest.raises(gr.Error, match="End B needs a picture or a seed"):
        on_between(studio, project, None, "1", None, "", 9, 0.5, False, "", 50)


def test_the_strip_between_two_is_computed_once_and_fills_slider_picture_and_frames(
    studio, project
):
    place, picture, frames = on_between(
        studio, project, None, "1", None, "2", 9, 0.5, True, None, 50
    )
    (asked,) = studio.sampling.asked
    assert isinstance(asked, InterpolationSettings)
    assert (asked.a, asked.b, asked.free_noise) == ("seed:1", "seed:2", True)
    assert (place["maximum"], place["value"], place["interactive"]) == (8, 0, True)
    assert len(frames["value"]) == 9
    assert picture == frames["value"][0]


def test_a_trait_starts_in_the_middle_where_nothing_is_changed(studio, project):
    place, picture, frames = on_trait(studio, project, 1, 2.5, 7, 0.5, "4", None, 50)
    (asked,) = studio.sampling.asked
    assert isinstance(asked, TraversalSettings)
    assert (asked.coordinate, asked.span, asked.seed) == (1, 2.5, 4)
    assert place["value"] == 3
    assert picture == frames["value"][3]


def test_an_empty_strip_cannot_be_moved():
    place, picture, frames = strip_updates([])
    assert (place["interactive"], picture, frames["value"]) == (False, None, [])


def test_a_trait_before_training_is_refused_in_a_sentence(studio, project):
    with pytest.raises(gr.Error, match="train the shape model first"):
        on_trait(studio, project, None, 3, 7, 0.5, None, None, 50)


def test_traits_are_listed_once_the_shape_model_is_trained(studio, project):
    assert show_traits(studio, project)["choices"] == []
    studio.projects.learn(project, "vae")
    update = show_traits(studio, project)
    assert [rank for _, rank in update["choices"]] == [0, 1, 2, 3]
    assert update["value"] == 0


def test_a_screen_says_what_is_missing_before_it_is_tried(studio, project):
    assert "not learned anything yet" in training_note(studio, project, ("inversion", "vae"))
    studio.projects.learn(project, "inversion")
    assert "One part is still missing" in training_note(studio, project, ("inversion", "vae"))
    assert training_note(studio, project, ("inversion",)) == ""


@pytest.mark.parametrize("text", ["x", "1.5", "-3", "²"])
def test_a_seed_that_is_no_whole_number_is_refused_in_a_sentence(studio, project, tmp_path, text):
    with pytest.raises(gr.Error, match="Seed must be a whole number"):
        on_make(studio, tmp_path, project, canvas(), 0.5, 1, text, "", 50)


def test_empty_fields_mean_the_default():
    assert seed_in(None) is seed_in("  ") is guidance_in("") is None
    assert guidance_in("3,5") == 3.5
