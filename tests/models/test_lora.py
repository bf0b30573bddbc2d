from dataclasses import replace

import pytest
import torch
from diffusers import UNet2DConditionModel

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.loading import CastLinear, store_weights_in
from dyod_studio.models.lora import (
    load_lora,
    lora_parameters,
    lora_tensors,
    with_lora,
    with_new_lora,
)
from dyod_studio.models.lora_files import lora_header, read_layers
from dyod_studio.models.placeholder import with_placeholder
from tests.conftest import open_base

PROMPT = "a photo of a dog"


def predicted(base):
    latents = torch.randn(2, *base.latent_shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        conditioning = base.encode_prompts([PROMPT, "a red cat"])
        return base.denoise(latents, torch.tensor([100, 700]), conditioning)


def classes_of(base):
    return [type(m) for network in (base.unet, base.text_encoder) for m in network.modules()]


def trained(base, *, seed=0, has_text_encoder=True):
    """Tensors of a LoRA whose every layer does something."""
    with with_new_lora(base, rank=2, alpha=3, has_text_encoder=has_text_encoder, seed=seed):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in lora_parameters(base):
                weight.copy_(0.2 * torch.randn(weight.shape, generator=generator))
        return {name: tensor.clone() for name, tensor in lora_tensors(base).items()}


def test_a_new_lora_changes_nothing_and_is_all_that_can_be_trained(base):
    plain, classes = predicted(base), classes_of(base)
    with with_new_lora(base, rank=4, alpha=4, has_text_encoder=True, seed=0) as adapted:
        assert torch.equal(predicted(adapted), plain)
        networks = (base.unet, base.text_encoder)
        trainable = {id(p) for n in networks for p in n.parameters() if p.requires_grad}
        assert trainable == {id(p) for p in lora_parameters(base)}
        assert classes_of(base) != classes
    assert torch.equal(predicted(base), plain)
    assert classes_of(base) == classes
    assert not any(p.requires_grad for n in (base.unet, base.text_encoder) for p in n.parameters())


def test_keys_and_values_of_every_cross_attention_are_among_the_layers(base):
    names = {name.split(".")[0] for name in trained(base, has_text_encoder=False)}
    paths = [
        path.replace(".", "_") for path, _ in base.unet.named_modules() if path.endswith("attn2")
    ]
    assert paths
    for path in paths:
        assert {
            f"lora_unet_{path}_{part}" for part in ("to_q", "to_k", "to_v", "to_out_0")
        } <= names
    assert not any(name.startswith("lora_te_") for name in names)


def test_the_seed_decides_a_new_lora(base):
    def start(seed):
        with with_new_lora(base, rank=2, alpha=2, has_text_encoder=False, seed=seed):
            return [w.detach().clone() for w in lora_parameters(base)]

    before = torch.random.get_rng_state()
    one, same, other = start(0), start(0), start(1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_strength_goes_from_the_base_itself_to_the_whole_lora(base):
    plain, classes, tensors = predicted(base), classes_of(base), trained(base)

    def at(strength):
        with with_lora(base, tensors, strength) as adapted:
            assert not any(p.requires_grad for p in lora_parameters(adapted))
            return predicted(adapted)

    assert torch.equal(at(0.0), plain)
    distances = [float((at(s) - plain).norm()) for s in (0.25, 0.5, 1.0)]
    assert 0 < distances[0] < distances[1] < distances[2]
    assert torch.equal(predicted(base), plain)
    assert classes_of(base) == classes


def test_a_layer_computes_w_plus_alpha_over_r_times_b_a(base):
    tensors = trained(base, has_text_encoder=False)
    name, weights = next(iter(read_layers(tensors).items()))
    path = next(
        p for p, _ in base.unet.named_modules() if f"lora_unet_{p}".replace(".", "_") == name
    )
    plain = base.unet.get_submodule(path)
    x = torch.randn(3, plain.in_features)
    expected = plain(x) + 3 / 2 * x @ weights.down.T @ weights.up.T
    with with_lora(base, tensors):
        torch.testing.assert_close(base.unet.get_submodule(path)(x), expected)


def test_what_is_loaded_is_what_was_saved(base):
    tensors = trained(base)
    with with_new_lora(base, rank=2, alpha=3, has_text_encoder=True, seed=5) as adapted:
        load_lora(adapted, tensors)
        again = lora_tensors(adapted)
        assert again.keys() == tensors.keys()
        assert all(torch.equal(again[name], tensors[name]) for name in tensors)


def test_layers_may_have_ranks_of_their_own_and_no_alpha(base):
    tensors = trained(base, has_text_encoder=False)
    first = next(iter(tensors)).split(".")[0]
    cut = {
        f"{first}.lora_down.weight": tensors[f"{first}.lora_down.weight"][:1],
        f"{first}.lora_up.weight": tensors[f"{first}.lora_up.weight"][:, :1],
    }
    others = {k: t for k, t in tensors.items() if not k.startswith(f"{first}.")}
    some = dict(list(others.items())[:6])
    plain = predicted(base)
    with with_lora(base, cut | some):
        assert read_layers(lora_tensors(base))[first].alpha == 1
        assert not torch.allclose(predicted(base), plain, atol=1e-5)
    assert torch.equal(predicted(base), plain)


def test_a_lora_and_a_word_live_together_and_leave_one_after_the_other(base):
    plain, tensors = predicted(base), trained(base)
    width = base.text_encoder.get_input_embeddings().embedding_dim
    with (
        with_placeholder(base, "<toy>", torch.ones(1, width)) as extended,
        with_lora(extended, tensors) as adapted,
    ):
        one, other = adapted.encode_prompts(["a <toy>", "a dog"]).detach()
        assert not torch.allclose(one, other)
    assert torch.equal(predicted(base), plain)


def test_recomputing_activations_leaves_the_gradients_as_they_are(base):
    def gradients():
        with with_new_lora(base, rank=2, alpha=2, has_text_encoder=False, seed=0):
            conditioning = base.encode_prompts([PROMPT]).detach()
            base.denoise(torch.ones(1, *base.latent_shape), 300, conditioning).sum().backward()
            return [w.grad.clone() for w in lora_parameters(base)[1::2]]

    plain = gradients()
    assert max(float(g.abs().max()) for g in plain) > 0
    with base.sparing_memory(recompute=True):
        again = gradients()
    for one, other in zip(plain, again, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_weights_stored_in_halves_get_a_lora_in_full_precision(base_folders):
    base = open_base(base_folders["starter"])
    store_weights_in(base.unet, torch.float16, torch.float32)
    plain, classes = predicted(base), classes_of(base)
    assert CastLinear in classes
    with with_new_lora(base, rank=2, alpha=2, has_text_encoder=False, seed=0):
        assert {w.dtype for w in lora_parameters(base)} == {torch.float32}
        assert torch.equal(predicted(base), plain)
    assert classes_of(base) == classes


def test_wrong_loras_are_refused_in_one_sentence_and_the_base_stays(base, base_models):
    plain, classes, tensors = predicted(base), classes_of(base), trained(base)
    first = next(iter(tensors))
    other = next(b for b in base_models.values() if b is not base)
    wrong = {
        "another base": (trained(other), "base model that it was trained on"),
        "another layer": ({"lora_unet_x.lora_down.weight": torch.ones(1, 2),
                           "lora_unet_x.lora_up.weight": torch.ones(2, 1)}, "does not have"),
        "another shape": (tensors | {first: torch.ones(2, 999)}, "use it with the base model"),
        "half a layer": ({first: tensors[first]}, "is incomplete"),
        "no lora": ({"emb_params": torch.ones(2, 2)}, "'emb_params', which is no part of a LoRA"),
        "nothing": ({}, "holds no layers"),
    }  # fmt: skip
    for reason, (values, message) in wrong.items():
        with pytest.raises(InvalidInputError, match=message), with_lora(base, values):
            pytest.fail(f"{reason} must not be let in")
    with (
        with_lora(base, tensors),
        pytest.raises(InvalidInputError, match="has a LoRA already"),
        with_new_lora(base, rank=1, alpha=1, has_text_encoder=True, seed=0),
    ):
        pytest.fail("a second one must not be let in")
    with (
        pytest.raises(InvalidInputError, match=r"adapter strength must lie in \[0, 1\], got 2"),
        with_lora(base, tensors, 2),
    ):
        pytest.fail("more than all of it must not be let in")
    with (
        pytest.raises(InvalidInputError, match="rank must be at least 1 .* got 0"),
        with_new_lora(base, rank=0, alpha=1, has_text_encoder=True, seed=0),
    ):
        pytest.fail("rank 0 must not be let in")
    assert torch.equal(predicted(base), plain)
    assert classes_of(base) == classes


def test_an_error_inside_leaves_the_base_as_it_was(base):
    plain, tensors = predicted(base), trained(base)
    with pytest.raises(ZeroDivisionError), with_lora(base, tensors):
        raise ZeroDivisionError
    assert torch.equal(predicted(base), plain)


def test_a_lora_for_stable_diffusion_one_is_known_as_such_by_its_keys_and_header(base_folders):
    base = open_base(base_folders["sd15"])
    unet = UNet2DConditionModel.from_config({**base.unet.config, "cross_attention_dim": 768})
    wide = replace(base, unet=unet.requires_grad_(False))
    tensors = trained(wide, has_text_encoder=False)
    tell_tale = [
        tensor.shape[1]
        for key, tensor in tensors.items()
        if key.startswith("lora_unet_") and ("_attn2_to_k." in key or "_attn2_to_v." in key)
        if key.endswith("lora_down.weight")
    ]
    assert tell_tale
    assert set(tell_tale) == {768}
    header = lora_header(
        conditioning_width=768,
        rank=2,
        alpha=3.0,
        title="my dog",
        trigger_phrase="a sks dog",
        resolution=512,
        prediction_type="epsilon",
    )
    assert header["ss_base_model_version"] == "sd_v1"
    assert header["ss_v2"] == "False"
    assert header["modelspec.architecture"] == "stable-diffusion-v1/lora"
    asked = {"ss_v2", "ss_base_model_version", "ss_network_module", "ss_network_dim",
             "ss_network_alpha", "ss_network_args"}  # fmt: skip
    assert asked <= header.keys()
    assert all(isinstance(value, str) for value in header.values())
