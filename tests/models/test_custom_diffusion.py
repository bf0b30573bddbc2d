import pytest
import torch

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import Artifact
from dyod_studio.models.custom_diffusion import (
    CrossAttentionChange,
    cross_attention_layers,
    load_custom_diffusion,
    with_custom_diffusion,
)
from dyod_studio.models.lora import with_new_lora
from tests.conftest import open_base


@pytest.fixture
def fresh_base(base_folder):
    """A base whose weights a test may change."""
    return open_base(base_folder)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def changed(base, seed=0):
    change = CrossAttentionChange(base.unet)
    for index, weight in enumerate(change.changes.values()):
        weight.data = 0.1 * random(*weight.shape, seed=seed + index)
    return change


def predict(base):
    latents, t = random(2, *base.latent_shape, seed=5), torch.tensor([100, 700])
    with torch.no_grad():
        return base.denoise(latents, t, base.encode_prompts(["a shoe", ""]))


def test_before_any_update_the_noise_prediction_is_the_bases_bit_for_bit(base):
    plain = predict(base)
    with with_custom_diffusion(base, CrossAttentionChange(base.unet)) as extended:
        assert torch.equal(predict(extended), plain)


def test_strength_is_zero_for_the_base_and_leaving_gives_it_back_bit_for_bit(base):
    plain, change = predict(base), changed(base)
    with with_custom_diffusion(base, change, 0.0) as extended:
        assert torch.equal(predict(extended), plain)
    distances = []
    for strength in (0.3, 1.0):
        with with_custom_diffusion(base, change, strength) as extended:
            distances.append(float((predict(extended) - plain).abs().max()))
    assert 1e-5 < distances[0] < distances[1]
    assert torch.equal(predict(base), plain)
    assert not any(module._forward_hooks for module in base.unet.modules())


def test_it_is_the_base_with_other_weights_of_k_and_v(fresh_base):
    change, base = changed(fresh_base), fresh_base
    with with_custom_diffusion(base, change) as extended:
        ours = predict(extended)
    for name, delta in change.tensors().items():
        base.unet.get_submodule(name).weight.data += delta
    torch.testing.assert_close(ours, predict(base), rtol=1e-4, atol=1e-5)


def test_blocks_within_each_other_add_their_changes(fresh_base):
    base, one, other = fresh_base, changed(fresh_base, 0), changed(fresh_base, 50)
    with with_custom_diffusion(base, one), with_custom_diffusion(base, other):
        ours = predict(base)
    both = CrossAttentionChange(base.unet)
    both.load({name: t + other.tensors()[name] for name, t in one.tensors().items()})
    with with_custom_diffusion(base, both):
        torch.testing.assert_close(ours, predict(base), rtol=1e-4, atol=1e-5)


def test_there_is_a_change_for_k_and_v_of_every_cross_attention_and_nothing_else(base):
    names = set(CrossAttentionChange(base.unet).tensors())
    transformers = [
        name for name, m in base.unet.named_modules() if type(m).__name__ == "BasicTransformerBlock"
    ]
    assert names == {f"{name}.attn2.to_{x}" for name in transformers for x in "kv"}
    change = CrossAttentionChange(base.unet)
    weights = [layer.weight.numel() for layer in cross_attention_layers(base.unet).values()]
    assert change.num_parameters == sum(weights)


def test_computing_activations_again_gives_the_same_gradients_to_the_change_alone(base):
    def gradients(recompute):
        change = CrossAttentionChange(base.unet)
        latents = random(2, *base.latent_shape)
        with base.sparing_memory(recompute=recompute), with_custom_diffusion(base, change):
            output = base.denoise(latents, 300, base.encode_prompts(["a shoe", "a cat"]).detach())
            output.square().sum().backward()
        return [weight.grad for weight in change.changes.values()]

    plain = gradients(False)
    assert all(gradient.abs().max() > 0 for gradient in plain)
    for one, again in zip(plain, gradients(True), strict=True):
        torch.testing.assert_close(again, one, rtol=1e-4, atol=1e-6)
    assert not any(parameter.grad is not None for parameter in base.unet.parameters())


def artifact_of(base, tensors, fingerprint=None):
    return Artifact("custom-diffusion", "mine", fingerprint or base.fingerprint, {}, {}, tensors)


def test_an_artifact_gives_the_same_change_again(base):
    change = changed(base)
    tensors = {**change.tensors(), "emb_params": torch.zeros(1, 24)}
    again = load_custom_diffusion(artifact_of(base, tensors), base)
    with with_custom_diffusion(base, change):
        expected = predict(base)
    with with_custom_diffusion(base, again):
        assert torch.equal(predict(base), expected)


def test_a_change_of_another_base_is_refused(base):
    tensors = changed(base).tensors()
    with pytest.raises(InvalidInputError, match="trained on mine, this base model is another one"):
        load_custom_diffusion(artifact_of(base, tensors, "other"), base)
    tensors.popitem()
    with pytest.raises(InvalidInputError, match="does not fit the cross-attention"):
        load_custom_diffusion(artifact_of(base, tensors), base)


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_a_strength_out_of_range_is_one_sentence(base, strength):
    with (
        pytest.raises(InvalidInputError, match=rf"strength must lie in \[0, 1\], got {strength}"),
        with_custom_diffusion(base, CrossAttentionChange(base.unet), strength),
    ):
        pytest.fail("the block must not be entered")


def test_it_goes_together_with_a_lora_whichever_is_attached_first(base):
    def lora():
        return with_new_lora(base, rank=2, alpha=2, has_text_encoder=False, seed=0)

    change, plain = changed(base), predict(base)
    with with_custom_diffusion(base, change):
        alone = predict(base)
        with lora():
            assert torch.equal(predict(base), alone)
    with lora(), with_custom_diffusion(base, change):
        assert torch.equal(predict(base), alone)
    assert torch.equal(predict(base), plain)
