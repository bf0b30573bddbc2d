"""The Studio screen: what its buttons ask the studio for, and what they show."""

import gradio as gr
import pytest
from PIL import Image, ImageDraw

from dyod_studio.errors import InvalidInputError, SampleCancelledError
from dyod_studio.requests.sampling import SampleRequest
from dyod_studio.services.views import Provenance
from dyod_studio.ui.draw.actions import (
    LIVE_STEPS,
    ResultsState,
    axes_in,
    cancel,
    make,
    make_grid,
    make_live,
    make_strip,
    on_adopt,
    on_compare,
    result_updates,
    worked,
)
from dyod_studio.ui.draw.canvas_panel import (
    T0_OF_LINES,
    on_lead,
    show_brushes,
    show_lines,
    show_region,
)
from dyod_studio.ui.draw.form import region_from_canvas, seed_for
from dyod_studio.ui.draw.restore import NAMES, restore_updates
from dyod_studio.ui.draw.screen import count_strokes
from tests.ui.drawing import draw_picture

HELD = ("under", "region_note", "line_controls")
"""Given by ``restore_updates`` and no field of the form."""
CLEAR = Image.new("RGBA", (64, 64), (0, 0, 0, 0))


def canvas(colour="red", size=(64, 64)):
    picture = Image.new("RGBA", size, colour)
    return {"background": picture, "layers": [CLEAR], "composite": picture}


def brushed(box=(10, 10, 30, 30)):
    layer = CLEAR.copy()
    ImageDraw.Draw(layer).rectangle(box, fill=(224, 33, 138, 120))
    return {"background": Image.new("RGBA", (64, 64)), "layers": [layer], "composite": layer}


def quietly(progress):
    """Progress that nobody looks at."""


@pytest.fixture
def wish(project):
    return dict(project=project, canvas=canvas(), t0=0.4, num_images=3, num_inference_steps=20)


def made(studio, scratch, **values):
    outputs = make(studio, scratch, values, "anna", quietly)
    return dict(
        zip(("gallery", "slider", "shown", "compare", "sheet", "seed"), outputs, strict=True)
    )


@pytest.mark.parametrize(
    ("trained", "words", "kind", "t0"),
    [
        (("anl", "vae"), None, "distribution", 0.4),
        (("anl",), None, "prompt", 1.0),
        (("anl", "vae"), "a red one", "distribution", 0.4),
    ],
)
def test_with_examples_and_an_empty_canvas_new_pictures_are_asked_for(
    studio, wish, tmp_path, trained, words, kind, t0
):
    studio.projects.learn(wish["project"], *trained)
    example = draw_picture(tmp_path / "in" / "example.png", 0.3)
    examples = {"references": [(str(example), None)], "use": ["anl"], "condition_text": words}
    made(studio, tmp_path, **{**wish, "canvas": None, **examples})
    (asked,) = studio.sampling.asked
    assert (asked.kind, asked.t0, set(asked.inputs)) == (kind, t0, {"condition"})
    with pytest.raises(InvalidInputError, match="The canvas is empty"):
        make(studio, tmp_path, {**wish, "canvas": None, "use": ["anl"]}, "anna", quietly)
    made(studio, tmp_path, **{**wish, **examples})
    assert set(studio.sampling.asked[-1].inputs) == {"condition", "image"}


def test_words_alone_are_an_example_too(studio, wish, tmp_path):
    studio.projects.learn(wish["project"], "anl", "vae")
    words = {"use": ["anl"], "condition_text": "a red one"}
    made(studio, tmp_path, **{**wish, "canvas": None, **words})
    (asked,) = studio.sampling.asked
    assert (asked.kind, asked.t0, asked.condition_text) == ("prompt", 1.0, "a red one")


def test_a_sketch_is_sent_as_it_was_drawn_with_every_setting(studio, project, tmp_path):
    shown = made(
        studio, tmp_path, project=project, canvas=canvas(), t0=0.4, num_images=3, seed="7",
        is_locked=True, guidance_scale="2.5", num_inference_steps=20, prompt=" a photo of {token} ",
    )  # fmt: skip
    (asked,) = studio.sampling.asked
    assert (asked.kind, asked.t0, asked.num_images, asked.seed) == ("image", 0.4, 3, 7)
    assert (asked.guidance_scale, asked.num_inference_steps) == (2.5, 20)
    assert (asked.prompt, set(asked.inputs)) == ("a photo of {token}", {"image"})
    assert studio.sampling.sketches[0].getpixel((1, 1)) == (255, 0, 0)
    assert [caption for _, caption in shown["gallery"]["value"]] == [
        "seed 100",
        "seed 101",
        "seed 102",
    ]
    assert (shown["seed"], shown["gallery"]["columns"]) == ("7", 2)


def test_an_unlocked_seed_is_drawn_anew_and_shown_and_a_locked_one_stays(studio, project, tmp_path):
    same = {"project": project, "canvas": canvas()}
    seeds = [made(studio, tmp_path, **same, seed="7")["seed"] for _ in range(3)]
    assert len({*seeds, "7"}) == 4
    assert [str(asked.seed) for asked in studio.sampling.asked] == seeds
    assert made(studio, tmp_path, **same, seed="7", is_locked=True)["seed"] == "7"
    empty = [seed_for(dict(project=1, seed="", is_locked=True)) for _ in range(2)]
    assert empty[0] != empty[1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"canvas": None}, "The canvas is empty: draw something, or drop a picture on it"),
        ({"project": None}, "Choose a project first"),
        ({"seed": "x"}, "Seed must be a whole number or empty, got 'x'"),
        ({"seed": "-3"}, "Seed must be a whole number"),
        ({"seed": "1.5"}, "Seed must be a whole number"),
        ({"seed": "²"}, "Seed must be a whole number"),
        ({"seed": "9" * 30, "is_locked": True}, "seed must lie in"),
        ({"guidance_scale": "a lot"}, "Guidance must be a number or empty, got 'a lot'"),
        ({"guidance_scale": "-1"}, r"guidance_scale must lie in \[0, 50\], got -1"),
        ({"guidance_scale": "nan"}, "guidance_scale must lie in"),
        ({"t0": 1.5}, r"t0 must lie in \[0, 1\], got 1.5"),
        ({"t0": -1}, r"t0 must lie in \[0, 1\], got -1"),
        ({"num_images": 0}, r"num_images must lie in \[1, 64\], got 0"),
        ({"num_images": None}, "Pictures must be a whole number, got None"),
        ({"num_inference_steps": 2.5}, "Steps must be a whole number, got 2.5"),
        (
            {"num_inference_steps": 100000},
            r"num_inference_steps must lie in \[1, 1000\], got 100000",
        ),
        ({"prompt": "x" * 5000}, "prompt must be at most 1000 characters long"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_sentence(
    studio, project, tmp_path, values, message
):
    wish = dict({"project": project, "canvas": canvas(), **values})
    with pytest.raises(gr.Error, match=message):
        worked(lambda *told: make(studio, tmp_path, *told), wish, None, lambda *a, **k: None, 6)
    assert studio.sampling.asked == []


def test_a_brushed_region_goes_along_as_a_mask_and_an_unbrushed_one_does_not(
    studio, project, tmp_path
):
    made(studio, tmp_path, project=project, canvas=canvas(), region=brushed())
    (mask,) = studio.sampling.regions
    assert (mask.mode, mask.getpixel((20, 20)), mask.getpixel((40, 40))) == ("L", 255, 0)
    made(studio, tmp_path, project=project, canvas=canvas(), region=canvas())
    assert len(studio.sampling.regions) == 1
    assert region_from_canvas(None) is None


def test_lines_that_lead_go_along_as_a_drawing_with_how_closely(studio, wish, tmp_path):
    made(studio, tmp_path, **wish, lines_lead=True, control_scale=0.7, control_until=0.9)
    made(studio, tmp_path, **wish, lines_lead=False, control_scale=0.7)
    led, plain = studio.sampling.asked
    assert led.inputs["control"] == led.inputs["image"]
    assert (led.control_scale, led.control_until) == (0.7, 0.9)
    assert set(plain.inputs) == {"image"}


def test_the_switch_is_in_sight_where_lines_are_followed_and_goes_off_elsewhere(studio, project):
    lead, below, shown = show_lines(studio, project, None)
    assert (lead["visible"], lead["value"], below["visible"], shown) == (False, False, False, False)
    studio.projects.learn(project, "control")
    lead, _, shown = show_lines(studio, project, shown)
    assert (lead["visible"], "value" in lead, shown) == (True, False, True)
    assert show_lines(studio, project, True) == (gr.skip(),) * 3
    assert on_lead(True) == (gr.update(visible=True), T0_OF_LINES)
    assert on_lead(False) == (gr.update(visible=False), 0.5)


def test_the_strip_makes_one_sketch_at_five_t0s_with_one_seed(studio, wish, tmp_path):
    outputs = make_strip(studio, tmp_path, wish, "anna", quietly)
    assert [asked.t0 for asked in studio.sampling.asked] == [0.2, 0.35, 0.5, 0.65, 0.8]
    assert len({asked.seed for asked in studio.sampling.asked}) == 1
    assert [caption for _, caption in outputs[0]["value"]][:2] == ["t0 0.2", "t0 0.35"]
    assert outputs[4]["visible"]


def test_a_grid_has_a_column_for_each_value_and_a_sheet_with_its_axes(studio, wish, tmp_path):
    x, y = axes_in("t0", "0.3, 0.5, 0.7", "guidance", "1; 3".replace(";", ","))
    outputs = make_grid(studio, tmp_path, wish, x, y, "anna", quietly)
    assert (outputs[0]["columns"], len(outputs[0]["value"])) == (3, 6)
    with Image.open(outputs[4]["value"]) as sheet:
        assert sheet.width > sheet.height > 300
    assert axes_in("seed", "1,2", "none", "")[1] is None
    for wrong in (("t0", ""), ("t0", "a"), ("t0", None)):
        with pytest.raises(InvalidInputError, match="t0"):
            axes_in(*wrong, "none", "")


def test_a_live_picture_is_quick_and_keeps_the_seed_that_is_shown(studio, project, tmp_path):
    wish = dict(project=project, canvas=canvas(), num_images=3, seed="12", is_locked=False)
    outputs = make_live(studio, tmp_path, wish, "anna")
    (asked,) = studio.sampling.asked
    assert (asked.num_inference_steps, asked.num_images, asked.seed) == (LIVE_STEPS, 1, 12)
    assert outputs[0]["value"][0][1].startswith("live, seed")
    assert make_live(studio, tmp_path, dict(project=project, canvas=None), "anna") is None
    with pytest.raises(InvalidInputError, match="Seed must be"):
        make_live(studio, tmp_path, dict(project=project, canvas=canvas(), seed="x"), "anna")
    studio.sampling.live = lambda *told, visitor: None
    assert make_live(studio, tmp_path, wish, "anna") is None


def test_a_stroke_is_heard_only_while_live_is_on():
    assert count_strokes(True, 4) == 5
    assert count_strokes(False, 4) == gr.skip()


def test_a_stopped_request_leaves_the_page_as_it_is(studio, wish):
    def stopped(*told):
        raise SampleCancelledError("This request was cancelled.")

    assert worked(stopped, wish, None, lambda *a, **k: None, 6) == (gr.skip(),) * 6
    cancel(studio, "anna")
    assert studio.sampling.stopped == ["anna"]


def test_going_on_from_a_result_takes_the_one_that_was_clicked():
    shown = ResultsState((("/a.png", "a"), ("/b.png", "b")), chosen=1)
    assert on_adopt(shown) == "/b.png"
    with pytest.raises(gr.Error, match="There is no picture yet"):
        on_adopt(ResultsState())


def test_before_and_after_lie_over_one_another_and_go_away_again():
    shown = ResultsState((("/a.png", "a"),))
    gallery, slider, button = on_compare(None, shown, canvas())
    assert (gallery["visible"], slider["visible"]) == (False, True)
    assert slider["value"][1] == "/a.png"
    assert slider["value"][0].getpixel((5, 5)) == (255, 0, 0)
    gallery, slider, _ = on_compare(("a", "b"), shown, canvas())
    assert (gallery["visible"], slider["visible"]) == (True, False)
    assert result_updates([])[2] == ResultsState()
    assert "Back" in button["value"]


def test_the_brushes_take_the_colours_of_the_set_once(studio, project):
    update, colors = show_brushes(studio, project, ())
    assert update.brush.colors == ["#203040", "#d0a020", "#ffffff"]
    assert show_brushes(studio, project, colors) == (gr.skip(), gr.skip())
    assert show_brushes(studio, None, ()) == (gr.skip(), gr.skip())


def test_the_sketch_lies_under_the_region_brush_and_its_marks_stay():
    shown, under = show_region(canvas(), None, "")
    assert shown["background"].size == (512, 512)
    assert show_region(canvas(), brushed(), under) == (gr.skip(), gr.skip())
    again, _ = show_region(canvas("blue"), brushed(), under)
    assert len(again["layers"]) == 1
    with pytest.raises(gr.Error, match="Draw or drop a picture first"):
        show_region(None, None, "")


def test_again_sets_every_field_so_that_the_same_request_is_made(studio, project, tmp_path):
    sketch, mask = tmp_path / "sketch.png", tmp_path / "mask.png"
    Image.effect_noise((90, 60), 80).convert("RGB").save(sketch)
    Image.linear_gradient("L").resize((90, 60)).save(mask)
    request = SampleRequest(
        kind="image", t0=0.45, seed=2**40, num_inference_steps=3, guidance_scale=2.25, prompt="a",
        adapter_strength=0.7, mask_rate=0.3, num_images=2, use=("inversion", "vae"),
        inputs={"image": sketch, "region": mask, "control": sketch}, control_scale=1.25,
        control_until=0.6,
    )  # fmt: skip
    view = Provenance(project, request, "studio", 5)
    updates = dict(zip(NAMES, restore_updates(view), strict=True))
    picture = updates["canvas"]
    studio.projects.learn(project, "inversion", "vae")
    again = {name: updates[name] for name in NAMES if name not in HELD}
    again["canvas"] = {"background": picture, "layers": [], "composite": picture}
    again["num_inference_steps"] = updates["num_inference_steps"]["value"]
    make(studio, tmp_path, dict(project=project, **again), "anna", quietly)
    (asked,) = studio.sampling.asked
    assert (asked.t0, asked.seed, asked.num_inference_steps) == (0.45, 2**40, 3)
    assert (asked.guidance_scale, asked.prompt, asked.num_images) == (2.25, "a", 2)
    assert (asked.use, asked.adapter_strength) == (("inversion", "vae"), 0.7)
    assert (asked.control_scale, asked.control_until) == (1.25, 0.6)
    assert asked.inputs["control"] == asked.inputs["image"]
    with Image.open(sketch) as original:
        assert studio.sampling.sketches[0].tobytes() == original.crop((15, 0, 75, 60)).tobytes()
    assert studio.sampling.regions[0].getpixel((30, 50)) == 255
    assert studio.sampling.regions[0].getpixel((30, 10)) == 0
    assert show_region(
        {"background": picture, "layers": [], "composite": picture}, None, updates["under"]
    ) == (gr.skip(), gr.skip())


def test_again_of_a_drawing_alone_lays_it_on_the_canvas_and_lets_it_lead(project, tmp_path):
    drawing = tmp_path / "drawing.png"
    Image.new("RGB", (60, 60), "teal").save(drawing)
    request = SampleRequest(kind="prompt", t0=1.0, seed=3, inputs={"control": drawing})
    view = Provenance(project, request, "studio", 3)
    updates = dict(zip(NAMES, restore_updates(view), strict=True))
    assert updates["canvas"].getpixel((5, 5)) == (0, 128, 128)
    assert (updates["lines_lead"], updates["line_controls"]["visible"]) == (True, True)


def test_again_of_another_screen_leaves_this_one_alone(project):
    view = Provenance(project, SampleRequest(kind="prompt"), "explore", 5)
    assert set(map(str, restore_updates(view))) == {str(gr.skip())}
    assert len(restore_updates(None)) == len(NAMES)
