"""What is recommended: for every kind of set and machine, with a reason for all of it."""

import subprocess
import sys

import pytest

from dyod_studio.requests.part_kinds import baseline_kinds, training_methods
from dyod_studio.training.recommend import DeviceFacts, Need, SetFacts, recommend

OFFERED = [name for name in training_methods() if name not in baseline_kinds()]


def machine(*, has_clip=True, too_large=(), seconds=600.0, device="cuda"):
    needs = {name: Need(9000.0, seconds, name not in too_large) for name in OFFERED}
    return DeviceFacts(device, 8000.0, has_clip, needs)


@pytest.mark.parametrize(
    ("number", "methods", "reason"),
    [
        (0, (), "no pictures yet: add at least 3"),
        (1, (), "There is 1 picture: add"),
        (2, (), "There are 2 pictures: add"),
        (3, ("dreambooth",), "learn the set style instead"),
        (20, ("dreambooth",), "one thing that they all show"),
        (21, ("lora",), "40 pictures are too few to miss"),
        (40, ("lora", "vae"), "what no word can say"),
        (100, ("lora", "vae"), "after a reference picture"),
        (30_000, ("lora", "vae"), "after a reference picture"),
    ],
)
def test_the_number_of_pictures_decides_what_is_trained(number, methods, reason):
    found = recommend(SetFacts(number), machine())
    assert found.methods == methods
    assert reason in " ".join(found.reasons)


def test_what_does_not_fit_is_left_out_and_said_with_its_figures():
    found = recommend(SetFacts(200), machine(too_large={"lora"}))
    assert found.methods == ("inversion", "vae")
    said = "about 9,000 MB on the card would be needed, and 8,000 MB are free: left out."
    assert any(reason.endswith(said) for reason in found.reasons)


def test_the_smaller_way_takes_the_place_of_dreambooth_where_that_does_not_fit():
    assert recommend(SetFacts(5), machine(too_large={"dreambooth"})).methods == (
        "custom-diffusion",
    )
    nothing = recommend(SetFacts(5), machine(too_large={"dreambooth", "custom-diffusion"}))
    assert nothing.methods == ()
    assert nothing.reasons[-1] == "Free some memory, or choose a smaller base model."


def test_without_a_clip_examples_are_left_out_and_the_way_to_one_is_said():
    found = recommend(SetFacts(500), machine(has_clip=False))
    assert found.methods == ("lora", "vae")
    assert any("give its folder" in reason for reason in found.reasons)


def test_what_is_trained_already_is_not_proposed_again():
    found = recommend(SetFacts(60, ["lora"]), machine())
    assert found.methods == ("vae",)
    assert any("trained “Set style” already" in reason for reason in found.reasons)
    done = recommend(SetFacts(60, ["lora", "vae"]), machine())
    assert done.methods == ()
    assert done.reasons[-1] == "Nothing is left to train for this set: draw with it."


def test_the_time_of_all_that_is_proposed_is_said_and_a_long_one_with_a_way_out():
    quick = recommend(SetFacts(60), machine(seconds=300.0, device="cpu"))
    assert quick.reasons[-1] == "All of it takes about 10 minutes here, in the background."
    slow = recommend(SetFacts(60), machine(seconds=9000.0, device="cpu"))
    assert "about 5 hours" in slow.reasons[-1]
    assert "graphics card or a smaller base model" in slow.reasons[-1]


def test_a_baseline_is_never_recommended():
    proposed = {
        method
        for number in (0, 2, 5, 30, 60, 500)
        for method in recommend(SetFacts(number), machine()).methods
    }
    assert proposed <= set(OFFERED)


def test_recommending_needs_no_torch():
    code = "import sys, dyod_studio.training.recommend; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
