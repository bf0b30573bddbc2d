"""A whole U-Net in the base's place: exact where it should be, and gone without a trace."""

from dataclasses import replace

import pytest
import torch

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.devices import DtypePolicy
from dyod_studio.models.loading import load_base
from dyod_studio.models.whole_unet import (
    load_unet,
    to_store,
    unet_tensors,
    with_own_unet,
    with_unet,
)


def denoised(base):
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, *base.latent_shape, generator=generator)
    with torch.no_grad():
        return base.denoise(latents, 500, base.encode_prompts(["a dog", "a cat"]))


@torch.no_grad()
def trained(base):
    """What a file holds after every weight was moved a little."""
    with with_own_unet(base) as learner:
        generator = torch.Generator().manual_seed(1)
        for weight in learner.unet.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
        return {name: tensor.clone() for name, tensor in unet_tensors(learner.unet).items()}


def test_a_copy_denoises_as_the_base_itself_and_only_the_copy_can_be_trained(base):
    plain = denoised(base)
    with with_own_unet(base) as learner:
        assert torch.equal(denoised(learner), plain)
        assert learner.unet is not base.unet
        assert all(weight.requires_grad for weight in learner.unet.parameters())
        assert not any(weight.requires_grad for weight in base.unet.parameters())
        with torch.no_grad():
            next(learner.unet.parameters()).add_(1.0)
    assert torch.equal(denoised(base), plain)


def test_random_weights_are_a_function_of_the_seed_and_draw_nothing_from_the_global_one(base):
    def drawn(seed):
        with with_own_unet(base, seed) as learner:
            return denoised(learner)

    state = torch.random.get_rng_state()
    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert not torch.equal(drawn(1), denoised(base))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_strength_leads_from_the_base_to_the_trained_weights_exactly_at_both_ends(base):
    tensors, plain = trained(base), denoised(base)
    with with_own_unet(base) as learner:
        load_unet(learner.unet, tensors)
        there = denoised(learner)
    results = {}
    for strength in (0.0, 0.5, 1.0):
        with with_unet(base, tensors, strength) as changed:
            results[strength] = denoised(changed)
    assert torch.equal(results[0.0], plain)
    assert torch.equal(results[1.0], there)
    assert not torch.equal(results[0.5], plain)
    assert not torch.equal(results[0.5], there)
    assert torch.equal(denoised(base), plain)


def test_large_ones_are_stored_in_half_the_size_and_draw_almost_the_same(base):
    tensors = trained(base)
    exact, how = to_store(tensors)
    assert how == "float32"
    assert all(torch.equal(exact[name], tensors[name]) for name in tensors)
    rounded, how = to_store(tensors, large=1)
    assert how == "float16"
    assert {tensor.dtype for tensor in rounded.values()} == {torch.float16}
    with with_unet(base, tensors) as one, with_unet(base, rounded) as other:
        difference = (denoised(one) - denoised(other)).norm() / denoised(one).norm()
    assert 0 < difference < 1e-2


def test_what_half_precision_cannot_hold_is_stored_whole(base):
    tensors = {"unet.one": torch.tensor([1e5]), "unet.two": torch.ones(2)}
    stored, how = to_store(tensors, large=1)
    assert how == "float32"
    assert torch.equal(stored["unet.one"], tensors["unet.one"])


def test_a_base_that_is_stored_in_halves_is_copied_in_full_precision(base_folder):
    halves = DtypePolicy(storage=torch.float16)
    base = load_base(
        str(base_folder), starter_dir=base_folder, device=torch.device("cpu"), dtype=halves
    )
    plain = denoised(base)
    with with_own_unet(base) as learner:
        assert {weight.dtype for weight in learner.unet.parameters()} == {torch.float32}
        assert torch.equal(denoised(learner), plain)
        tensors = unet_tensors(learner.unet)
    with with_unet(base, tensors) as drawn_with:
        assert torch.float16 in {weight.dtype for weight in drawn_with.unet.parameters()}
        assert torch.equal(denoised(drawn_with), plain)


def test_wrong_shapes_and_strengths_are_one_sentence_and_change_nothing(base):
    plain, tensors = denoised(base), trained(base)
    fewer = dict(list(tensors.items())[1:])
    with (
        pytest.raises(InvalidInputError, match="another shape than the base"),
        with_unet(base, fewer),
    ):
        pass
    for strength in (-0.1, 1.1, float("nan")):
        with (
            pytest.raises(InvalidInputError, match="adapter strength"),
            with_unet(base, tensors, strength),
        ):
            pass
    assert torch.equal(denoised(replace(base)), plain)
