"""The Explore screen: what each of its handlers asks the studio for, and what it shows."""

import json
import zipfile
from pathlib import Path

import gradio as gr
import pytest
from PIL import Image

from dyod_studio.requests.sampling import DEFAULT_STEPS, PointRequest, read_request
from dyod_studio.services.explore.views import NUM_TRAITS, FrameView, StripsView
from dyod_studio.services.views import Provenance
from dyod_studio.ui.common.part_picker import (
    on_choose_kinds,
    on_tab,
    read_sampling_controls,
    sampling_control_updates,
    show_choice,
)
from dyod_studio.ui.explore.between import (
    FREE,
    ROUND,
    on_between,
    on_keep,
    on_make,
    on_take,
    on_tick,
)
from dyod_studio.ui.explore.bookmarks import (
    on_forget,
    on_open,
    on_rename,
    on_save,
    saved_updates,
    traits_updates,
)
from dyod_studio.ui.explore.new import on_near, on_new_pictures, on_pick, on_start
from dyod_studio.ui.explore.picker import NO_ENDS, on_swap, picked, show_source
from dyod_studio.ui.explore.screen import on_around, on_end, restore_updates, show_explore
from dyod_studio.ui.explore.strips import how_far, strip_html
from dyod_studio.ui.explore.traits import on_look, on_origin, on_point, on_reset, where_html

DRAWN = (0.4, "2,5", 20, "trailing", "unipc", "set", 0.5, None, 1.0)
ENDS = {"A": {"ref": "set:1", "picture": "/a.png"}, "B": {"ref": "made:2", "picture": "/b.png"}}
NOWHERE = (0,) * NUM_TRAITS


@pytest.fixture
def learned(studio, project):
    studio.projects.learn(project, "inversion", "vae")
    return project


def begun(studio, project, ends=ENDS, frames=9, noise="", path=""):
    return on_between(studio, "she", project, ends, frames, noise, path, *DRAWN)


def test_new_pictures_begin_from_a_shape_with_t0_or_from_the_word_with_words(studio, project):
    on_new_pictures(studio, project, "distribution", "ignored", 3, "7", DRAWN)
    on_new_pictures(studio, project, "prompt", "a big {token}", 4, None, DRAWN)
    shape, word = studio.sampling.asked
    assert (shape.kind, shape.t0, shape.prompt, shape.seed) == ("distribution", 0.4, None, 7)
    assert (shape.guidance_scale, shape.num_inference_steps, shape.num_images) == (2.5, 20, 3)
    assert (word.kind, word.t0, word.prompt) == ("prompt", None, "a big {token}")
    assert (on_start("prompt")["visible"], on_start("distribution")["visible"]) == (True, False)


def test_more_like_one_asks_for_pictures_near_the_one_that_was_clicked(studio, project):
    _, _, made, nothing, _ = on_new_pictures(studio, project, "distribution", "", 2, "", DRAWN)
    assert nothing is None
    one, words = on_pick(made, 1)
    assert one[0] == "made:2"
    assert "seed 101" in words
    on_near(studio, project, one, 3, 0.2, DRAWN)
    (asked,) = studio.explore.near_requests
    assert (asked.origin, asked.spread, len(asked.places), asked.t0) == ("made:2", 0.2, 3, 0.4)
    with pytest.raises(gr.Error, match="Click one of the new pictures first"):
        on_near(studio, project, None, 3, 0.2, DRAWN)


def test_a_click_fills_one_end_and_the_next_click_the_other():
    ends, turn, a, b = picked(NO_ENDS, "A", "set:3", "/x y.png")
    assert (ends["A"]["ref"], ends["B"], turn) == ("set:3", None, "B")
    assert "file=/x%20y.png" in a
    assert "click a picture" in b
    ends, turn, *_ = picked(ends, turn, "made:5", "/z.png")
    assert (ends["B"]["ref"], turn) == ("made:5", "A")
    swapped, *_ = on_swap(ends)
    assert (swapped["A"]["ref"], swapped["B"]["ref"]) == ("made:5", "set:3")
    assert on_swap(NO_ENDS)[0] == NO_ENDS


def test_without_two_ends_the_button_takes_two_at_random_and_else_leaves_them():
    ends, _, a, _ = on_make(NO_ENDS)
    assert ends["A"]["ref"].startswith("seed:")
    assert ends["A"]["ref"].replace(":", " ") in a
    assert on_make(ENDS) == (gr.skip(),) * 4


def test_pictures_to_pick_from_are_those_of_the_set_or_those_made_here(studio, project):
    empty, thumbs, refs, *_ = show_source(studio, project, "set")
    assert (empty, len(thumbs["value"]), refs[0][0]) == ("", 24, "set:1")
    empty, thumbs, refs, *_ = show_source(studio, project, "made")
    assert "Nothing was made here yet" in empty
    assert (thumbs["visible"], refs) == (False, ())
    on_new_pictures(studio, project, "distribution", "", 2, "", DRAWN)
    assert [ref for ref, _ in show_source(studio, project, "made")[2]] == ["made:2", "made:1"]
    assert show_source(studio, None, "set")[2] == ()


def test_the_strip_begins_coarse_and_fills_at_every_tick_until_it_is_whole(studio, project):
    walk, timer, place, strip_view, status = begun(studio, project, noise=FREE, path=ROUND)
    (asked,) = studio.explore.interpolations
    assert (asked.a, asked.b, asked.num_frames) == ("set:1", "made:2", 9)
    assert (asked.free_noise, asked.is_spherical, asked.t0) == (True, True, 0.4)
    assert [visitor for visitor, _ in studio.explore.prefetcher.begun] == ["she"]
    assert (timer.active, place["maximum"], place["interactive"]) == (True, 8, True)
    assert (strip_view.count("<img"), strip_view.count("<i ")) == (3, 6)
    assert 'data-at="4"' in strip_view
    assert "3 of 9 frames drawn" in status
    for _ in range(2):
        timer, place, strip_view, status = on_tick(studio, "she", project, walk)
    assert (timer.active, strip_view.count("<img"), place) == (False, 9, gr.skip())
    assert "All 9 frames are there" in status


def test_nothing_is_shown_of_a_walk_of_another_project(studio, project):
    walk = begun(studio, project)[0]
    other = studio.projects.create("Other").id
    timer, place, strip_view, status = on_tick(studio, "she", other, walk)
    assert (timer.active, place["interactive"], strip_view, status) == (False, False, "", "")


def test_what_makes_no_strip_is_said_in_a_sentence_or_waits(studio, project):
    assert begun(studio, project, ends={**ENDS, "B": None})[0] is None
    with pytest.raises(gr.Error, match="A and B are the same picture"):
        begun(studio, project, ends={"A": ENDS["A"], "B": ENDS["A"]})
    with pytest.raises(gr.Error, match="Frames must be a whole number, got None"):
        begun(studio, project, frames=None)
    with pytest.raises(gr.Error, match=r"num_frames must lie in \[2, 240\], got 999"):
        begun(studio, project, frames=999)


def test_why_a_strip_cannot_be_drawn_stands_under_it():
    view = StripsView(((FrameView(0, "k", None),),), 0, 1, "The <card> is gone.")
    assert "The &lt;card&gt; is gone." in how_far(view)
    assert view.is_over
    assert strip_html(()) == ""


def test_a_strip_is_taken_along_once_it_is_whole(studio, project, tmp_path):
    walk = begun(studio, project, frames=5)[0]
    with pytest.raises(gr.Error, match="There is no strip yet"):
        on_take(studio, tmp_path, "gif", None, 10, True)
    for _ in range(2):
        on_tick(studio, "she", project, walk)
    gif = on_take(studio, tmp_path, "gif", walk, 10, True)["value"]
    with Image.open(gif) as image:
        assert image.n_frames == 5 + 3
    sprites = on_take(studio, tmp_path, "sprite", walk, 10, True)["value"]
    with zipfile.ZipFile(sprites) as archive:
        assert archive.namelist() == ["from-a-to-b.png", "from-a-to-b.json"]
        assert len(json.loads(archive.read("from-a-to-b.json"))["frames"]) == 5
    with pytest.raises(gr.Error, match="fps must lie in"):
        on_take(studio, tmp_path, "mp4", walk, None, True)
    on_keep(studio, project, walk, 4)
    assert studio.explore.kept == [walk.strips[0][4][1]]
    with pytest.raises(gr.Error, match="There is no strip yet"):
        on_keep(studio, project, None, 0)


def test_every_trait_gets_its_strip_around_the_place_that_the_sliders_say(studio, learned):
    values = (1.5, *NOWHERE[1:])
    walk, timer, here, *strip_views, status = on_point(
        studio, "she", learned, "seed:3", *values, *DRAWN
    )
    assert (here.count("<img"), len(strip_views), timer.active) == (1, NUM_TRAITS, True)
    assert 'data-at="-3"' in strip_views[0]
    assert 'data-at="1.5"' in strip_views[0]
    assert strip_views[4:] == [""] * (NUM_TRAITS - 4)
    assert f"of {len(walk.steps)} frames drawn" in status
    while not on_look(studio, "she", learned, walk)[-1].startswith('<p class="quiet">All'):
        pass
    other = studio.projects.create("Other").id
    assert on_look(studio, "she", other, walk)[1] == ""


def test_before_the_shape_model_is_trained_nothing_is_drawn_and_the_way_there_is_shown(
    studio, project
):
    assert on_point(studio, "she", project, "average", *NOWHERE, *DRAWN)[0] is None
    hint, button, lack, _, panel, *_ = show_explore(studio, project)
    assert "not learned anything yet" in hint
    assert (button["visible"], lack["visible"], panel["visible"]) == (True, True, False)
    studio.projects.learn(project, "inversion", "vae")
    hint, button, lack, _, panel, *_ = show_explore(studio, project)
    assert (hint, button["visible"], lack["visible"], panel["visible"]) == ("", False, False, True)
    assert show_explore(studio, None)[1]["visible"] is False


def test_a_lock_keeps_its_slider_where_it_is():
    values, locks = (1.0, 2.0, *NOWHERE[2:]), (True, *[False] * (NUM_TRAITS - 1))
    assert on_reset(*values, *locks) == (1.0, *NOWHERE[1:])
    origin, where, *sliders = on_origin(lambda: "seed:9", *values, *locks)
    assert (origin, sliders) == ("seed:9", [1.0, *NOWHERE[1:]])
    assert "seed 9" in where


@pytest.mark.parametrize("origin", ["average", "seed:4", "set:1", "made:2"])
def test_where_the_sliders_begin_is_said_in_words(origin):
    assert "Sliders begin at" in where_html(origin)


def test_a_place_is_saved_opened_and_forgotten(studio, learned):
    values = (0.0, -2.0, *NOWHERE[2:])
    drawn = (0.3, "", 10, "trailing", "dpm++", "near", 0.3, ["inversion"], 0.5)
    name, ids, thumbs, empty = on_save(studio, "smile", learned, "average", *values, *drawn)
    assert (name, ids, empty) == ("", (1,), "")
    assert [caption for _, caption in thumbs["value"]] == ["smile"]
    opened = on_open(studio, learned, 1)
    assert (opened[0], opened[1]["value"], opened[2]) == (1, "Forget smile", "average")
    assert opened[4 : 4 + NUM_TRAITS] == values
    t0, guidance, steps, spacing, sampler, codes, novelty, use, *rest = opened[4 + NUM_TRAITS :]
    strength, kinds, is_strip = rest
    assert is_strip
    assert (spacing, sampler, codes) == ("trailing", "dpm++", "near")
    assert (novelty["value"], novelty["visible"]) == (0.3, True)
    assert (t0, guidance, steps, use, kinds) == (0.3, "", 10, ["inversion"], ["inversion"])
    assert strength["value"] == 0.5
    studio.bookmarks.outdate()
    assert saved_updates(studio, learned)[1]["value"][0][1] == "smile (earlier model)"
    assert on_forget(studio, learned, 1)[2] == ()
    with pytest.raises(gr.Error, match="Choose a saved place first"):
        on_forget(studio, learned, None)
    with pytest.raises(gr.Error, match="A name has 1 to 60 characters"):
        on_save(studio, None, learned, "average", *values, *drawn)


def test_a_trait_is_called_what_she_calls_it(studio, project, learned):
    _, which, *rows = on_rename(studio, learned, 1, "hair")
    assert which["choices"][:2] == [("Trait 1", 0), ("hair", 1)]
    boxes, sliders = rows[:NUM_TRAITS], rows[NUM_TRAITS:]
    assert [box["visible"] for box in boxes] == [True] * 4 + [False] * 4
    assert sliders[1]["label"] == "hair"
    with pytest.raises(gr.Error, match="Choose the trait that you want to name"):
        on_rename(studio, learned, None, "hair")
    assert traits_updates(studio, None)[0]["choices"] == []


def test_a_new_picture_becomes_an_end_or_the_place_that_is_looked_around(monkeypatch):
    monkeypatch.setattr(gr, "Info", lambda *_: None)
    one = ("made:7", "/seven.png")
    *updates, tabs = on_end("A", NO_ENDS, one)
    assert (updates[0]["A"]["ref"], tabs) == ("made:7", gr.skip())
    *_, tabs = on_end("B", updates[0], ("made:8", "/eight.png"))
    assert tabs["selected"] == "between"
    origin, *_, tabs = on_around(one, *NOWHERE, *NOWHERE)
    assert (origin, tabs["selected"]) == ("made:7", "traits")
    for refused in (lambda: on_end("A", NO_ENDS, None), lambda: on_around(None)):
        with pytest.raises(gr.Error, match="Click one of the new pictures first"):
            refused()


def test_parts_are_offered_once_there_is_a_choice_and_kept_as_settings(studio, project):
    panel, kinds, *_ = show_choice(studio, project, {})
    assert (panel["visible"], kinds["value"]) == (False, [])
    studio.projects.learn(project, "inversion", "vae", "dreambooth")
    panel, kinds, strength, use, now, t0 = show_choice(studio, project, {})
    assert (panel["visible"], kinds["value"], use) == (True, ["inversion"], None)
    assert strength["visible"] is False
    assert show_choice(studio, project, now) == gr.skip()
    studio.projects.learn(project, "lora")
    assert on_tab(studio, True, project, False) == (0.4, True)
    assert on_tab(studio, False, project, True) == (0.7, False)
    assert on_tab(studio, True, project, True) == (gr.skip(), True)
    use, strength = on_choose_kinds(["dreambooth"])
    assert (use, strength["visible"]) == (["dreambooth"], True)
    settings = read_sampling_controls((0.5, "", 50, "trailing", "euler", "near", 0.2, use, 0.7))
    assert (settings["codes"], settings["novelty"]) == ("near", 0.2)
    assert (settings["use"], settings["adapter_strength"]) == (("dreambooth",), 0.7)
    assert sampling_control_updates(PointRequest())[:3] == (0.5, "", DEFAULT_STEPS)


def test_a_picture_without_a_project_is_refused_in_a_sentence(studio):
    with pytest.raises(gr.Error, match="Choose a project first"):
        on_new_pictures(studio, None, "distribution", "", 1, "", DRAWN)
    assert studio.sampling.asked == []


def again(kind, **values):
    common = {"t0": 0.3, "num_inference_steps": 20, "seed": 7, "adapter_strength": 0.5}
    request = read_request(kind, common | values, {"b": Path("/b.png")})
    screen = "studio" if kind == "image" else "explore"
    return Provenance(1, request.replace(use=("inversion", "vae")), screen, picture_seed=8)


def test_the_screen_stands_again_as_it_stood_for_a_picture_of_any_kind():
    between = again(
        "interpolation", a="seed:3", b="b.png", num_frames=5, free_noise=True, is_spherical=False
    )
    modes, t0, _, steps, spacing, sampler, codes, _, use, strength, kinds, for_strips, *rest = (
        restore_updates(between)
    )
    earlier = ("scheduler", "ddim", "prior")  # as before anything else could be chosen
    assert (spacing, sampler, codes) == earlier
    assert (modes["selected"], t0, steps, use, kinds) == (
        "between", 0.3, 20, ["inversion"], ["inversion"],
    )  # fmt: skip
    assert for_strips
    assert rest[:4] == [gr.skip()] * 4
    assert (rest[4]["A"]["ref"], rest[4]["B"]["ref"]) == ("seed:3", "/b.png")
    assert rest[8:11] == [5, FREE, "straight"]
    place = restore_updates(again("place", origin="average", places=[{"1": -2.0, "0": 9.0}]))
    assert (place[0]["selected"], place[-8:]) == ("traits", (3, -2.0, 0, 0, 0, 0, 0, 0))
    new = restore_updates(again("distribution", num_images=3))
    assert (new[0]["selected"], new[12], new[14], new[15]) == ("new", "distribution", 3, "7")
    assert len({len(made) for made in (place, new, restore_updates(between))}) == 1
    assert set(map(str, restore_updates(None))) == {str(gr.skip())}
    assert set(map(str, restore_updates(again("image")))) == {str(gr.skip())}
