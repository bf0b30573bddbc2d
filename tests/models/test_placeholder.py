import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import Artifact, load_artifact, save_artifact
from dyod_studio.models.customised import CustomisedModel, SamplingConfig
from dyod_studio.models.placeholder import placeholder_words, trained_vectors, with_placeholder


@pytest.fixture
def vectors(base):
    width = base.text_encoder.get_input_embeddings().embedding_dim
    return 0.05 * torch.randn(2, width, generator=torch.Generator().manual_seed(9))


def test_a_token_is_read_as_its_k_words(base, vectors):
    with with_placeholder(base, "<toy>", vectors) as extended:
        num_base = base.text_encoder.get_input_embeddings().table.num_embeddings
        ids = extended.token_ids(["a photo of <toy>"])[0].tolist()
        plain = extended.token_ids(["a photo of"])[0].tolist()
    assert ids[:4] == plain[:4]
    assert ids[4:6] == [num_base, num_base + 1]
    assert placeholder_words("<toy>", 3) == ["<toy>", "<toy>_1", "<toy>_2"]


def test_the_vectors_reach_the_conditioning_and_nothing_else_changes(base, vectors):
    plain = base.encode_prompts(["a photo of a cat"])
    with with_placeholder(base, "<toy>", vectors) as extended:
        torch.testing.assert_close(extended.encode_prompts(["a photo of a cat"]), plain)
        one = extended.encode_prompts(["a photo of <toy>"])
    with with_placeholder(base, "<toy>", -vectors) as extended:
        other = extended.encode_prompts(["a photo of <toy>"])
    assert not torch.allclose(one[:, 4:], other[:, 4:], atol=1e-3)
    torch.testing.assert_close(one[:, :4], other[:, :4])


def test_blocks_within_each_other_give_a_base_several_words_and_take_them_away_again(base, vectors):
    plain, table = base.encode_prompts(["a cat"]), base.text_encoder.get_input_embeddings()
    prompts = ["a photo of <toy>", "a photo of <pet>", "a <pet> and a <toy>", "a cat"]
    with with_placeholder(base, "<pet>", -vectors[:1]) as extended:
        pet = extended.encode_prompts(["a photo of <pet>"])
    with with_placeholder(base, "<toy>", vectors) as one:
        toy = one.encode_prompts(["a photo of <toy>"])
        with with_placeholder(one, "<pet>", -vectors[:1]) as both:
            states = both.encode_prompts(prompts)
            ids = both.token_ids(["<pet> <toy>"])[0].tolist()
            assert torch.equal(trained_vectors(both).detach(), -vectors[:1])
        torch.testing.assert_close(one.encode_prompts(["a photo of <toy>"]), toy)
    torch.testing.assert_close(states[:1], toy)
    torch.testing.assert_close(states[1:2], pet)
    assert ids[1:4] == [table.num_embeddings + 2, table.num_embeddings, table.num_embeddings + 1]
    assert base.text_encoder.get_input_embeddings() is table
    assert torch.equal(base.encode_prompts(["a cat"]), plain)


def test_two_placeholders_cannot_share_a_word(base, vectors):
    with (
        with_placeholder(base, "<toy>", vectors) as one,
        pytest.raises(InvalidInputError, match="already a word"),
        with_placeholder(one, "<toy>", vectors),
    ):
        pytest.fail("the block must not be entered")


def test_saving_memory_leaves_the_gradient_of_the_vectors_as_it_is(base, vectors):
    def gradient(model):
        with with_placeholder(model, "<toy>", vectors) as extended:
            latents = torch.ones(2, *model.latent_shape)
            conditioning = extended.encode_prompts(["a <toy>", "photo of <toy>"])
            extended.denoise(
                latents, torch.tensor([100, 700]), conditioning
            ).square().sum().backward()
            return trained_vectors(extended).grad

    plain = gradient(base)
    assert plain.abs().max() > 0
    with base.sparing_memory(recompute=True):
        assert base.unet.is_gradient_checkpointing
        torch.testing.assert_close(gradient(base), plain, rtol=1e-4, atol=1e-6)
    assert not base.unet.is_gradient_checkpointing


def test_an_existing_word_cannot_be_a_token(base, vectors):
    with (
        pytest.raises(InvalidInputError, match="already a word"),
        with_placeholder(base, "<|endoftext|>", vectors),
    ):
        pytest.fail("the block must not be entered")


def test_vectors_of_another_base_are_refused(base):
    with (
        pytest.raises(InvalidInputError, match="the base it was trained on"),
        with_placeholder(base, "<toy>", torch.zeros(1, 999)),
    ):
        pytest.fail("the block must not be entered")


def test_the_artifact_gives_the_same_picture_through_diffusers(
    base, base_folder, vectors, tmp_path
):
    artifact = Artifact("inversion", base.ref, base.fingerprint, {}, {}, {"emb_params": vectors})
    path = save_artifact(artifact, tmp_path / "toy.safetensors")
    prompt = "a photo of <toy>"

    pipeline = StableDiffusionPipeline.from_pretrained(base_folder, safety_checker=None)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_textual_inversion(path, token="<toy>")
    noise = torch.randn(base.latent_shape, generator=torch.Generator().manual_seed(4))
    theirs = pipeline(
        prompt, latents=noise.unsqueeze(0), num_inference_steps=10, guidance_scale=3.0
    ).images[0]

    tensors = load_artifact(path, "inversion").tensors
    with with_placeholder(base, "<toy>", tensors["emb_params"]) as extended:
        ours = CustomisedModel(extended).sample(
            "prompt", [4], SamplingConfig(1, 10, 3.0, prompt, timestep_spacing="scheduler")
        )[0]
    difference = np.asarray(ours, dtype=int) - np.asarray(theirs, dtype=int)
    assert np.abs(difference).max() <= 2


def test_a_file_that_is_no_artifact_is_refused_by_name(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(InvalidInputError, match=r"weights.safetensors is not a readable"):
        load_artifact(path, "inversion")
    save_artifact(Artifact("vae", "b", "f", {}, {}, {"x": torch.zeros(1)}), path)
    with pytest.raises(InvalidInputError, match="holds vae, not a trained inversion"):
        load_artifact(path, "inversion")
