import pytest
import torch

from dyod_studio.diffusion.sampling import guided
from dyod_studio.errors import InvalidInputError
from dyod_studio.models.anl import (
    AnlAdapter,
    AnlShape,
    conditioned,
    load_anl,
    residual_blocks,
    start_from_base,
    with_anl,
)
from dyod_studio.models.artifacts import Artifact

WIDTH = 16
SHAPES = [AnlShape(WIDTH), AnlShape(), AnlShape(WIDTH, rank=2, width=8)]


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def awake(base, shape, seed=0):
    """An adapter whose last layers are no longer zero."""
    adapter = AnlAdapter(base.unet, shape, seed)
    for index, block in enumerate(adapter.blocks.values()):
        last = block.mapping[-1]
        last.weight.data = 0.3 * random(*last.weight.shape, seed=seed + index)
    return adapter


def predict(base, num=2):
    latents, t = random(num, *base.latent_shape, seed=5), torch.tensor([100, 700])[:num]
    with torch.no_grad():
        return base.denoise(latents, t, base.encode_prompts([""] * num))


@pytest.mark.parametrize("anl", SHAPES)
def test_before_any_update_the_noise_prediction_is_the_bases_bit_for_bit(base, anl):
    plain, adapter = predict(base), AnlAdapter(base.unet, anl)
    with with_anl(base, adapter) as extended:
        assert torch.equal(predict(extended), plain)
        if anl.condition_width:
            adapter.condition_on(random(2, WIDTH))
            assert torch.equal(predict(extended), plain)


@pytest.mark.parametrize("anl", SHAPES)
def test_strength_is_zero_for_the_base_and_more_goes_further_away(base, anl):
    plain, adapter, distances = predict(base), awake(base, anl), []
    for strength in (0.0, 0.3, 1.0):
        with with_anl(base, adapter, strength) as extended:
            distances.append(float((predict(extended) - plain).abs().max()))
    assert distances[0] == 0
    assert 1e-4 < distances[1] < distances[2]


def test_leaving_gives_the_base_back_bit_for_bit_also_after_an_error(base):
    plain, kinds = predict(base), [type(module) for module in base.unet.modules()]
    names = list(base.unet.state_dict())
    with with_anl(base, awake(base, SHAPES[0])):
        assert not torch.equal(predict(base), plain)
        assert list(base.unet.state_dict()) == names
    with (
        pytest.raises(RuntimeError, match="interrupted"),
        with_anl(base, awake(base, SHAPES[0])),
    ):
        raise RuntimeError("interrupted")
    assert torch.equal(predict(base), plain)
    assert [type(module) for module in base.unet.modules()] == kinds
    assert not any(module._forward_hooks for module in base.unet.modules())


def test_there_is_a_module_behind_every_residual_block_of_the_unet(base):
    adapter = AnlAdapter(base.unet, SHAPES[0])
    config = base.unet.config
    per_level = config.layers_per_block + (config.layers_per_block + 1)
    assert len(adapter.blocks) == len(config.block_out_channels) * per_level + 2
    assert {name.replace(".", "_") for name in residual_blocks(base.unet)} == set(adapter.blocks)


def test_one_block_computes_equations_8_and_9_with_the_token_of_nothing_beside(base):
    adapter = awake(base, AnlShape(WIDTH, rank=3, width=2))
    block = next(iter(adapter.blocks.values()))
    channels, condition = block.to_q.in_features, random(1, WIDTH)
    block.num_heads = 1
    hidden = random(1, channels, 2, 2, seed=8)
    cells = torch.nn.functional.layer_norm(hidden.flatten(2).transpose(1, 2), (channels,))
    tokens = torch.stack([condition * 4, torch.zeros(1, WIDTH)], dim=1)
    query, key, value = block.to_q(cells), block.to_k(tokens), block.to_v(tokens)
    attention = (query @ key.transpose(1, 2) / 2**0.5).softmax(dim=-1) @ value
    expected = block.mapping(attention).transpose(1, 2).reshape(hidden.shape)
    torch.testing.assert_close(block(hidden, tokens), expected)
    assert attention[0].std(dim=0).min() > 1e-4  # cells differ in how much they heed


@pytest.mark.parametrize("anl", SHAPES)
def test_every_parameter_and_nothing_else_is_moved_by_the_gradient(base, anl):
    adapter = awake(base, anl)
    with with_anl(base, adapter) as extended:
        if anl.condition_width:
            adapter.condition_on(random(2, WIDTH), torch.tensor([True, False]))
        channels, height, width = base.latent_shape
        # Twice as large: a deepest level of one cell would have nothing to attend to.
        latents = random(2, channels, 2 * height, 2 * width)
        output = extended.denoise(latents, 300, extended.encode_prompts(["", ""]))
        output.square().sum().backward()
    for name, parameter in adapter.named_parameters():
        assert parameter.grad.abs().max() > 0, name
    assert adapter.num_parameters == sum(p.numel() for p in adapter.parameters())
    modules = (base.unet, base.vae, base.text_encoder)
    assert not any(p.grad is not None for module in modules for p in module.parameters())


@pytest.mark.parametrize("anl", SHAPES[:2])
def test_computing_activations_again_gives_the_same_gradients(base, anl):
    def gradients(recompute):
        adapter = awake(base, anl)
        latents = random(2, *base.latent_shape)
        with base.sparing_memory(recompute=recompute), with_anl(base, adapter) as extended:
            for seed in (0, 1):  # another condition follows before the gradients are read
                if anl.condition_width:
                    adapter.condition_on(random(2, WIDTH, seed=seed))
                output = extended.denoise(latents, 300, extended.encode_prompts(["", ""]))
                output.square().sum().backward()
        return [parameter.grad for parameter in adapter.parameters()]

    for plain, again in zip(gradients(False), gradients(True), strict=True):
        torch.testing.assert_close(again, plain, rtol=1e-4, atol=1e-5)


def test_pictures_hear_their_own_condition_and_the_unconditional_half_hears_nothing(base):
    adapter, embeddings = awake(base, SHAPES[0]), random(2, WIDTH)
    texts = base.encode_prompts([""]).detach().expand(2, -1, -1)
    latents = random(2, *base.latent_shape, seed=5)

    def with_condition(one):
        predictor = conditioned(base.predict_noise, adapter, one)
        return predictor(latents[:1], 500, texts[:1])

    with torch.no_grad(), with_anl(base, adapter):
        both = conditioned(base.predict_noise, adapter, embeddings)
        first = both(latents, 500, texts)[:1]
        torch.testing.assert_close(first, with_condition(embeddings[:1]), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(first, with_condition(embeddings[1:]), atol=1e-3)
        adapter.condition_on(None)
        without = base.predict_noise(latents, 500, texts)
        expected = without + 3 * (both(latents, 500, texts) - without)
        torch.testing.assert_close(
            guided(both, texts, texts, 3.0)(latents, 500), expected, rtol=1e-4, atol=1e-4
        )


def test_the_same_seed_begins_with_the_same_weights_and_leaves_other_draws_alone(base):
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    one, same, other = (AnlAdapter(base.unet, SHAPES[0], seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    states = [adapter.state_dict() for adapter in (one, same, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])


@pytest.mark.parametrize(("width", "kind"), [(0, "attn1"), (24, "attn2")])
def test_it_can_start_from_the_attention_of_the_base_where_the_shapes_are_the_same(
    base, width, kind
):
    adapter = AnlAdapter(base.unet, AnlShape(width))
    blocks = {
        name.replace("attentions", "resnets").replace(".", "_"): module
        for name, module in base.unet.named_modules()
        if type(module).__name__ == "Transformer2DModel"
    }
    assert start_from_base(adapter, base.unet) == 3 * len(blocks)
    for name, transformer in blocks.items():
        theirs = getattr(transformer.transformer_blocks[0], kind)
        for layer in ("to_q", "to_k", "to_v"):
            ours = getattr(adapter.blocks[name], layer).weight
            assert torch.equal(ours, getattr(theirs, layer).weight)
            assert ours.requires_grad


def test_weights_of_another_shape_are_not_taken_from_the_base(base):
    adapter = AnlAdapter(base.unet, SHAPES[2])
    before = {name: tensor.clone() for name, tensor in adapter.state_dict().items()}
    assert start_from_base(adapter, base.unet) == 0
    assert all(torch.equal(before[name], now) for name, now in adapter.state_dict().items())


def test_a_lower_rank_has_fewer_parameters_as_the_sum_says(base):
    channels = [block.out_channels for block in residual_blocks(base.unet).values()]
    full = AnlAdapter(base.unet, AnlShape(WIDTH)).num_parameters
    low = AnlAdapter(base.unet, AnlShape(WIDTH, rank=4)).num_parameters
    assert full == WIDTH + sum(c * c + 2 * WIDTH * c + 2 * (c * c + c) for c in channels)
    assert low == WIDTH + sum(c * c + 2 * WIDTH * c + 2 * 4 * c + 4 + c for c in channels)


def artifact_of(base, adapter, fingerprint=None):
    config = {"rank": adapter.shape.rank, "width": adapter.shape.width}
    tensors = {name: tensor.detach() for name, tensor in adapter.state_dict().items()}
    return Artifact("anl", "mine", fingerprint or base.fingerprint, config, {}, tensors)


@pytest.mark.parametrize("anl", SHAPES)
def test_an_artifact_gives_the_same_modules_again(base, anl):
    adapter = awake(base, anl)
    again = load_anl(artifact_of(base, adapter), base)
    with with_anl(base, adapter):
        expected = predict(base)
    with with_anl(base, again):
        assert torch.equal(predict(base), expected)
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_modules_of_another_base_are_refused(base):
    artifact = artifact_of(base, AnlAdapter(base.unet, SHAPES[0]), fingerprint="other")
    with pytest.raises(InvalidInputError, match="trained on mine, this base model is another one"):
        load_anl(artifact, base)


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_a_strength_out_of_range_is_one_sentence(base, strength):
    with (
        pytest.raises(InvalidInputError, match=rf"strength must lie in \[0, 1\], got {strength}"),
        with_anl(base, AnlAdapter(base.unet, SHAPES[0]), strength),
    ):
        pytest.fail("the block must not be entered")


def test_embeddings_that_it_cannot_hear_are_refused_in_one_sentence(base):
    with pytest.raises(InvalidInputError, match=r"width 16, the CLIP gives 5: use the CLIP"):
        AnlAdapter(base.unet, SHAPES[0]).condition_on(random(1, 5))
    with pytest.raises(InvalidInputError, match="trained without a condition"):
        AnlAdapter(base.unet, AnlShape()).condition_on(random(1, 5))
