"""Loader checks written after what each tool accepts, and the round trip through diffusers."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from safetensors import safe_open
from safetensors.torch import load_file

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import Artifact, load_artifact, save_artifact
from dyod_studio.models.customised import CustomisedModel, SamplingConfig
from dyod_studio.models.lora import lora_parameters, lora_tensors, with_lora, with_new_lora
from dyod_studio.models.lora_files import join_loras, lora_header, read_layers, write_layers

PROMPT = "a photo of a dog"
PARTS = {"lora_down.weight", "lora_up.weight", "alpha"}


@pytest.fixture
def lora_file(base, tmp_path):
    """A LoRA on both networks whose every layer does something, as an artifact's file."""
    with with_new_lora(base, rank=2, alpha=4, has_text_encoder=True, seed=0):
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for weight in lora_parameters(base):
                weight.copy_(0.15 * torch.randn(weight.shape, generator=generator))
        tensors = lora_tensors(base)
    header = lora_header(
        conditioning_width=base.unet.config.cross_attention_dim,
        rank=2,
        alpha=4,
        title="my dog",
        trigger_phrase="a b dog",
        resolution=base.resolution,
        prediction_type=base.schedule.prediction_type,
    )
    artifact = Artifact("dreambooth", base.ref, base.fingerprint, {}, {}, tensors)
    return save_artifact(artifact, tmp_path / "dog.safetensors", header)


def drawn(base):
    model = CustomisedModel(base)
    return np.asarray(
        model.sample(
            "prompt", [4], SamplingConfig(1, 10, 3.0, PROMPT, timestep_spacing="scheduler")
        )[0],
        dtype=int,
    )


@pytest.mark.parametrize("shape", ["sd15"])
def test_diffusers_draws_the_same_picture_with_the_file(base, base_folder, lora_file, shape):
    plain = drawn(base)
    with with_lora(base, load_artifact(lora_file, "dreambooth").tensors) as adapted:
        ours = drawn(adapted)
    assert np.abs(ours - plain).max() > 20
    pipeline = StableDiffusionPipeline.from_pretrained(base_folder, safety_checker=None)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(lora_file)
    noise = torch.randn(base.latent_shape, generator=torch.Generator().manual_seed(4))
    theirs = pipeline(
        PROMPT, latents=noise.unsqueeze(0), num_inference_steps=10, guidance_scale=3.0
    ).images[0]
    assert np.abs(ours - np.asarray(theirs, dtype=int)).max() <= 2


def test_every_key_is_one_that_kohya_loaders_take_and_every_layer_is_whole(base, lora_file):
    tensors = load_file(lora_file)
    layers: dict[str, set[str]] = {}
    for key in tensors:
        name, part = key.split(".", 1)
        assert name.startswith(("lora_unet_", "lora_te_text_model_encoder_layers_"))
        layers.setdefault(name, set()).add(part)
    assert set(map(frozenset, layers.values())) == {frozenset(PARTS)}
    paths = {"lora_unet_" + path.replace(".", "_"): m for path, m in base.unet.named_modules()}
    for name in (name for name in layers if name.startswith("lora_unet_")):
        down, up = tensors[f"{name}.lora_down.weight"], tensors[f"{name}.lora_up.weight"]
        assert (up.shape[0], down.shape[1]) == tuple(paths[name].weight.shape)
        assert down.dtype == up.dtype == torch.float32
        assert tensors[f"{name}.alpha"].shape == ()
        assert tensors[f"{name}.alpha"] == 4


def test_the_cross_attention_tells_which_base_the_file_is_for(base, lora_file):
    widths = {
        tensor.shape[1]
        for key, tensor in load_file(lora_file).items()
        if key.endswith(("_attn2_to_k.lora_down.weight", "_attn2_to_v.lora_down.weight"))
    }
    assert widths == {base.unet.config.cross_attention_dim}


def test_the_header_is_made_of_strings_and_says_what_the_loaders_ask_for(lora_file):
    with safe_open(lora_file, framework="pt") as file:
        header = file.metadata()
    assert header["format"] == "pt"
    assert header["dyod.format"] == "dreambooth"
    assert (header["ss_network_dim"], header["ss_network_alpha"]) == ("2", "4")
    assert header["ss_network_module"] == "networks.lora"
    assert header["modelspec.trigger_phrase"] == "a b dog"


@pytest.mark.parametrize(
    ("width", "version", "is_second", "architecture"),
    [
        (768, "sd_v1", "False", "stable-diffusion-v1/lora"),
        (1024, "sd_v2", "True", "stable-diffusion-v2/lora"),
        (192, "latent-diffusion-192", "False", "latent-diffusion-192/lora"),
    ],
)
def test_the_header_names_the_generation_of_the_base(width, version, is_second, architecture):
    header = lora_header(
        conditioning_width=width,
        rank=4,
        alpha=4,
        title="dog",
        trigger_phrase="a b dog",
        resolution=512,
        prediction_type="v_prediction",
    )
    assert header["ss_base_model_version"] == version
    assert header["ss_v2"] == is_second
    assert header["modelspec.architecture"] == architecture
    assert header["modelspec.prediction_type"] == "v"


def test_reading_and_writing_are_each_others_inverse(lora_file):
    tensors = load_file(lora_file)
    again = write_layers(read_layers(tensors))
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[key], tensors[key]) for key in tensors)


def test_two_loras_joined_change_what_both_change_together(base):
    def lora(rank, alpha, seed, has_text_encoder):
        with with_new_lora(
            base, rank=rank, alpha=alpha, has_text_encoder=has_text_encoder, seed=seed
        ):
            generator = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                for weight in lora_parameters(base):
                    weight.copy_(0.2 * torch.randn(weight.shape, generator=generator))
            return {key: tensor.clone() for key, tensor in lora_tensors(base).items()}

    def change(weights):
        return weights.alpha / weights.rank * weights.up.flatten(1) @ weights.down.flatten(1)

    one, other = lora(2, 4, 1, True), lora(3, 1, 2, False)
    assert join_loras([one]) == one
    joined, first, second = (read_layers(t) for t in (join_loras([one, other]), one, other))
    assert joined.keys() == first.keys() | second.keys()
    for name, weights in joined.items():
        both = [change(layers[name]) for layers in (first, second) if name in layers]
        torch.testing.assert_close(change(weights), sum(both))
    with with_lora(base, join_loras([one, other])):
        assert lora_parameters(base)
    name = next(name for name in second if "mid_block" in name)
    wide = other | {f"{name}.lora_down.weight": torch.ones(3, 999)}
    with pytest.raises(InvalidInputError, match="made for different base models"):
        join_loras([one, wide])
