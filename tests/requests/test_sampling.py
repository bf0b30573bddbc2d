"""What a request means where it leaves something open, and what was stored long ago."""

from dyod_studio.requests.sampling import SampleRequest, default_t0, read_request


def test_the_t0_of_a_request_that_gives_none_suits_its_start_its_base_and_its_parts():
    real = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert default_t0("prompt", real, ()) == 1
    assert default_t0("image", "starter", ("lora",)) == 0.5
    of_word = [default_t0("distribution", base, ("inversion", "vae")) for base in ("starter", real)]
    assert of_word == [0.3, 0.6]
    for kind, t0 in {"distribution": 0.7, "near": 0.7, "interpolation": 0.4, "place": 0.4}.items():
        assert default_t0(kind, "starter", ("lora", "vae")) == t0


def test_what_was_stored_by_earlier_releases_is_drawn_as_it_was_then():
    earlier = read_request("distribution", {"seed": 3, "t0": 0.5})
    assert (earlier.codes, earlier.timestep_spacing) == ("prior", "scheduler")
    now = read_request("distribution", SampleRequest(kind="distribution", seed=3).to_json())
    assert (now.codes, now.timestep_spacing) == ("near", "trailing")
