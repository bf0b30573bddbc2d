from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from dyod_studio.diffusion.codes import interpolate
from dyod_studio.errors import InvalidInputError
from dyod_studio.models.anl import Condition
from dyod_studio.models.base import fit, to_pictures, to_tensor
from dyod_studio.models.customised import CustomisedModel, SamplingConfig
from dyod_studio.models.initial_vae import InitialVae, SetCodes, TrainedVae, VaeShape

SKETCH = Image.linear_gradient("L").convert("RGB").rotate(30, fillcolor="red")
CODES = SetCodes(
    weights=torch.tensor([0.25, 0.75]),
    means=torch.stack([torch.full((6,), 9.0), torch.full((6,), -9.0)]),
    deviations=torch.full((2, 6), 0.5),
    posterior_means=torch.eye(6)[:3] * 6,
)
FEW = SamplingConfig(t0=0.5, num_inference_steps=8, prompt="a photo of a cat", guidance_scale=3)


@contextmanager
def counted_calls(base):
    calls = []
    hook = base.unet.register_forward_hook(lambda *_: calls.append(1))
    yield calls
    hook.remove()


@pytest.fixture
def model(base):
    """The base with a VAE of random weights, with a scale that makes its drawings differ."""
    channels, side, _ = base.latent_shape
    torch.manual_seed(0)
    vae = InitialVae(VaeShape(channels, side, 6, (8,))).eval()
    vae.scale.fill_(3.0)
    return CustomisedModel(base, vae=TrainedVae(vae, "latents", CODES))


def pixels(images):
    return np.stack([np.asarray(image, dtype=np.int16) for image in images])


def test_t0_zero_returns_the_reconstruction_of_the_autoencoder(model):
    base = model.base
    with counted_calls(base) as calls:
        (made,) = model.sample("image", [1], SamplingConfig(t0=0), images=[SKETCH])
    latents = base.encode_images(to_tensor([fit(SKETCH, base.resolution)]))
    (expected,) = to_pictures(base.decode_latents(latents))
    assert np.array_equal(pixels([made]), pixels([expected]))
    assert not calls


def test_half_of_t0_makes_half_the_unet_calls(model):
    for t0, expected in ((1.0, 50), (0.5, 25), (0.3, 15)):
        with counted_calls(model.base) as calls:
            model.sample("image", [1], SamplingConfig(t0=t0), images=[SKETCH])
        assert len(calls) == expected


@pytest.mark.parametrize("start", ["prompt", "distribution", "image"])
def test_a_seed_gives_the_same_picture_alone_and_as_third_of_four(model, start):
    reverse = SamplingConfig(1.0 if start == "prompt" else 0.5, 8, 3, "a photo of a cat")
    images = [SKETCH] if start == "image" else None
    batch = pixels(model.sample(start, [5, 6, 7, 8], reverse, images=images))
    alone = pixels(model.sample(start, [7], reverse, images=images))
    assert np.abs(batch[2] - alone[0]).max() <= 1
    assert np.abs(batch[0] - batch[1]).max() > 1
    again = pixels(model.sample(start, [7], reverse, images=images))
    assert np.array_equal(alone, again)


def test_a_picture_does_not_depend_on_where_a_chunk_ends(model, monkeypatch):
    whole = pixels(model.sample("image", [1, 2, 3], FEW, images=[SKETCH]))
    one_at_a_time = model.base.resolution**2
    monkeypatch.setattr("dyod_studio.models.customised.PIXELS_AT_ONCE", one_at_a_time)
    seen = []
    chunked = model.sample(
        "image", [1, 2, 3], FEW, images=[SKETCH], on_step=lambda *step: seen.append(step)
    )
    assert np.abs(whole - pixels(chunked)).max() <= 1
    assert seen == [(done, 12) for done in range(1, 13)]


def test_a_start_from_the_prompt_equals_the_pipeline_of_diffusers(base, base_folder):
    pipeline = StableDiffusionPipeline.from_pretrained(base_folder, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    model = CustomisedModel(base)
    noise = torch.randn(base.latent_shape, generator=torch.Generator().manual_seed(4))
    theirs = pipeline(
        "a photo of a cat",
        negative_prompt="",
        latents=noise.unsqueeze(0),
        num_inference_steps=10,
        guidance_scale=3.0,
    ).images
    ours = model.sample(
        "prompt", [4], SamplingConfig(1, 10, 3.0, "a photo of a cat", timestep_spacing="scheduler")
    )
    assert np.abs(pixels(ours) - pixels(theirs)).max() <= 2


def test_fixed_noise_moves_in_smaller_steps_than_free_noise(model):
    codes = interpolate(*model.draw_codes([1, 2], FEW).split(1), 7)
    fixed = pixels(model.sample_codes(codes, [3] * 7, FEW))
    free = pixels(model.sample_codes(codes, range(3, 10), FEW))
    fixed_gap, free_gap = (np.abs(np.diff(frames, axis=0)).mean() for frames in (fixed, free))
    assert fixed_gap < 0.7 * free_gap


def test_the_end_frames_are_the_pictures_of_the_two_ends(model):
    codes = interpolate(*model.draw_codes([1, 2], FEW).split(1), 5)
    frames = pixels(model.sample_codes(codes, [1] * 5, FEW))
    first = pixels(model.sample("distribution", [1], FEW))
    last = pixels(model.sample_codes(model.draw_codes([2], FEW), [1], FEW))
    assert np.abs(frames[0] - first[0]).max() <= 1
    assert np.abs(frames[-1] - last[0]).max() <= 1
    assert np.abs(frames[0] - frames[-1]).max() > 1


def test_without_a_vae_there_is_no_start_from_the_distribution(base):
    with pytest.raises(InvalidInputError, match="no trained vae yet"):
        CustomisedModel(base).sample("distribution", [1], FEW)


def test_as_many_pictures_as_seeds_or_one_are_needed(base):
    with pytest.raises(InvalidInputError, match="one for each seed"):
        CustomisedModel(base).sample("image", [1, 2, 3], FEW, images=[SKETCH, SKETCH])


def test_a_prompt_that_does_not_fit_is_refused_with_its_length(base):
    prompt = " ".join(["cat"] * 200)
    with pytest.raises(InvalidInputError, match="The prompt has 200 tokens"):
        CustomisedModel(base).sample("prompt", [1], SamplingConfig(1, 2, 1, prompt))


def test_a_vae_that_works_on_pixels_has_the_same_interface(base):
    torch.manual_seed(0)
    network = InitialVae(VaeShape(3, 16, 5, (4, 8))).eval()
    vae = TrainedVae(network, "pixels")
    model = CustomisedModel(base, vae=vae)
    codes = model.encode_codes([SKETCH, SKETCH.rotate(90)])
    assert codes.shape == (2, 5)
    assert vae.decode(codes, base).shape == (2, *base.latent_shape)
    assert len(model.sample("distribution", [1, 2], replace(FEW, codes="prior"))) == 2


def test_codes_of_the_set_lie_where_its_mixture_does(model):
    seeds = range(400)
    drawn = model.draw_codes(seeds, SamplingConfig(codes="set"))
    is_first = (drawn > 0).all(dim=1)
    assert ((drawn > 0).all(dim=1) | (drawn < 0).all(dim=1)).all()
    assert 0.18 < is_first.float().mean() < 0.32
    assert drawn[is_first].mean() == pytest.approx(9, abs=0.1)
    assert drawn[is_first].std() == pytest.approx(0.5, abs=0.05)


def test_a_code_near_a_picture_is_its_mean_code_turned_towards_the_seeds_own(model):
    prior = model.draw_codes([1, 2, 3, 4], SamplingConfig(codes="prior"))
    kept = model.draw_codes([1, 2, 3, 4], SamplingConfig(codes="near", novelty=0))
    assert all(any(torch.equal(row, mean) for mean in CODES.posterior_means) for row in kept)
    anywhere = model.draw_codes([1, 2, 3, 4], SamplingConfig(codes="near", novelty=1))
    assert torch.equal(anywhere, prior)
    between = model.draw_codes([1, 2, 3, 4], SamplingConfig(codes="near", novelty=0.6))
    assert torch.allclose(between, 0.8 * kept + 0.6 * prior, atol=1e-6)


def test_a_code_near_a_reference_is_its_mean_code_turned_towards_the_seeds_own(model):
    references = [Image.new("RGB", (48, 32), colour) for colour in ("red", "navy")]
    near = SamplingConfig(codes="reference", condition=Condition(references), novelty=0.6)
    squares = [image.crop((8, 0, 40, 32)) for image in references]
    means = model.encode_codes(squares)
    prior = model.draw_codes([1, 2, 3], replace(near, codes="prior"))
    found = model.draw_codes([1, 2, 3], near)
    assert torch.allclose(found, 0.8 * means[[0, 1, 0]] + 0.6 * prior, atol=1e-5)
    with pytest.raises(InvalidInputError, match="need one: give a condition picture"):
        model.draw_codes([1], SamplingConfig(codes="reference"))


@pytest.mark.parametrize("kind", ["set", "near", "prior"])
def test_the_code_of_a_seed_does_not_depend_on_the_others(model, kind):
    config = SamplingConfig(codes=kind)
    batch = model.draw_codes([5, 6, 7], config)
    assert torch.equal(batch[2:], model.draw_codes([7], config))


def test_codes_of_a_set_that_is_not_known_are_refused_with_the_remedy(model):
    unknown = replace(model, vae=replace(model.vae, codes=None))
    with pytest.raises(InvalidInputError, match="train 'vae' again, or draw codes from the prior"):
        unknown.sample("distribution", [1], FEW)
    assert unknown.sample("distribution", [1], replace(FEW, codes="prior"))


def test_a_request_begins_at_the_same_noise_whatever_the_steps(model):
    firsts = [
        model.timesteps(SamplingConfig(t0=0.5, num_inference_steps=steps))[0]
        for steps in (8, 12, 20, 50)
    ]
    assert firsts == [499] * 4
    assert (
        model.timesteps(
            SamplingConfig(t0=0.5, num_inference_steps=12, timestep_spacing="scheduler")
        )[0]
        != 499
    )


def test_attached_parts_leave_the_base_as_it_was(base):
    before = {name: tensor.clone() for name, tensor in base.text_encoder.state_dict().items()}
    table = base.text_encoder.get_input_embeddings()
    with ExitStack() as stack:
        stack.enter_context(pytest.raises(ZeroDivisionError))
        from dyod_studio.models.placeholder import with_placeholder

        vectors = torch.ones(2, table.embedding_dim)
        extended = stack.enter_context(with_placeholder(base, "<toy>", vectors))
        assert extended.unet is base.unet
        raise ZeroDivisionError
    assert base.text_encoder.get_input_embeddings() is table
    after = base.text_encoder.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_token_in_a_prompt_stands_for_what_was_taught(base):
    reverse = SamplingConfig(prompt="a photo of {token}")
    assert CustomisedModel(base, token="<toy>").prompt_of(reverse) == "a photo of <toy>"
    assert CustomisedModel(base, phrase="a b cat").prompt_of(reverse) == "a photo of a b cat"
    assert CustomisedModel(base, token="<toy>").prompt_of(SamplingConfig()) == "<toy>"
