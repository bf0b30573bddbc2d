"""ANL from pictures to pictures: trained, stored, loaded, sampled."""

from dataclasses import replace

import pytest
import torch

from dyod_studio.diffusion.sampling import guided, randn_per_image, reverse_from_start
from dyod_studio.errors import BaseModelError, InvalidInputError
from dyod_studio.models.anl import conditioned, load_anl, with_anl
from dyod_studio.models.artifacts import load_artifact
from dyod_studio.models.clip import condition_embeddings, open_clip
from dyod_studio.training.anl import VIEWS, AnlTask, masked_view, prepare_embeddings
from dyod_studio.training.data import TrainingSet
from dyod_studio.training.registry import load_method, parse_config
from dyod_studio.training.run import ArtifactReady, PicturesPrepared, PreviewsReady, Run, StepDone
from tests.training.needed import with_needed

KINDS = [{}, {"variant": "unconditional"}]


def train(base, dataset, run_dir, **values):
    quick = {"preview_every": 10_000, "checkpoint_every": 10_000, "learning_rate": 3e-3}
    config = parse_config("anl", with_needed("anl", quick | values))
    return list(load_method("anl").run(config, base, dataset, Run(run_dir)))


def weights_of(base):
    modules = {"unet": base.unet, "vae": base.vae, "text": base.text_encoder}
    return {
        f"{part}.{name}": tensor.clone()
        for part, module in modules.items()
        for name, tensor in module.state_dict().items()
    }


@pytest.mark.slow
def test_four_pictures_are_fitted_and_the_base_stays_bit_identical(base, dataset, tmp_path):
    before = weights_of(base)
    artifact = load_artifact(train(base, dataset, tmp_path / "run", steps=60)[-1].path, "anl")
    facts = artifact.facts
    assert facts["fixed_loss_after"] < 0.9 * facts["fixed_loss_before"]
    after = weights_of(base)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    modules = (base.unet, base.vae, base.text_encoder)
    assert not any(p.grad is not None for module in modules for p in module.parameters())
    assert not any(module._forward_hooks for module in base.unet.modules())


@pytest.mark.parametrize("values", KINDS)
def test_the_number_of_parameters_that_is_told_is_that_of_the_stored_tensors(
    own_base, dataset, tmp_path, values
):
    numbers = []
    for rank in (0, 2):
        ready = train(own_base, dataset, tmp_path / str(rank), steps=1, rank=rank, **values)[-1]
        artifact = load_artifact(ready.path, "anl")
        numbers.append(artifact.facts["num_parameters"])
        assert numbers[-1] == sum(tensor.numel() for tensor in artifact.tensors.values())
        assert all(tensor.dtype == torch.float32 for tensor in artifact.tensors.values())
        assert ("nothing" in artifact.tensors) == (not values)
    assert numbers[1] < numbers[0]


def test_the_unconditional_variant_needs_no_clip(base, dataset, tmp_path):
    without_folder = replace(base, path=None)
    values = {"variant": "unconditional", "clip": "", "steps": 40, "preview_every": 40}
    events = train(without_folder, dataset, tmp_path, **values)
    assert [type(event) for event in events[-3:-1]][0] is PreviewsReady
    facts = load_artifact(events[-1].path, "anl").facts
    assert facts["fixed_loss_after"] < 0.97 * facts["fixed_loss_before"]
    assert facts["clip"] is None


def test_a_base_without_a_clip_asks_for_one_before_anything_is_done(base_models, dataset, tmp_path):
    with pytest.raises(BaseModelError, match="no CLIP image encoder: give the folder of a CLIP"):
        train(base_models["sd15"], dataset, tmp_path / "run", clip="", steps=1)
    assert not (tmp_path / "run").exists()


def test_pictures_are_read_by_the_clip_once(own_base, dataset, tmp_path):
    first, second = (train(own_base, dataset, tmp_path / name, steps=1) for name in ("one", "two"))
    kinds = [[type(event) for event in events] for events in (first, second)]
    assert kinds[0].count(PicturesPrepared) == 2
    assert kinds[1][0] is StepDone


def test_kept_embeddings_are_the_clips_own_of_the_same_picture(own_base, dataset):
    clip = open_clip(own_base)
    *_, embeddings = drained(prepare_embeddings(dataset, clip))
    turned = TrainingSet(dataset.pictures[::-1], dataset.cache_dir)
    *_, others = drained(prepare_embeddings(turned, clip))
    assert embeddings.shape == (4 * VIEWS, clip.width)
    whole, others = torch.tensor(embeddings[::VIEWS]), torch.tensor(others[::VIEWS])
    torch.testing.assert_close(whole.flip(0), others)


def test_the_views_of_a_picture_show_less_and_less_of_it(own_base, dataset):
    clip = open_clip(own_base)
    *_, embeddings = drained(prepare_embeddings(dataset, clip))
    each = torch.tensor(embeddings).view(4, VIEWS, clip.width)
    likeness = (each * each[:, :1]).sum(dim=2).mean(dim=0)
    assert likeness[0] > 0.9999
    assert likeness[1:4].mean() > likeness[-3:].mean()
    pixels = torch.ones(1, 3, 100, 100)
    blank = [float((masked_view(pixels, 5, view) == 0).float().mean()) for view in (1, VIEWS - 1)]
    assert blank == pytest.approx([0.01, 0.81])


@pytest.mark.parametrize(("share", "views"), [(0.0, {0}), (1.0, set(range(1, VIEWS)))])
def test_the_share_of_masked_views_is_what_the_setting_says(own_base, share, views):
    config = parse_config("anl", {"masked_share": share})
    task = AnlTask(own_base, None, torch.zeros(9, 1), None, config)
    generator = torch.Generator().manual_seed(1)
    found = task._views([3] * 200, generator)
    assert {index - 3 * VIEWS for index in found} == views


def drained(generator):
    """What a generator yields, and then what it returns."""
    result = []

    def keep():
        result.append((yield from generator))

    return [*keep(), *result]


def test_it_can_start_from_the_bases_own_attention(own_base, dataset, tmp_path):
    values = {"variant": "unconditional", "starts_from_base": True, "steps": 1}
    facts = load_artifact(train(own_base, dataset, tmp_path, **values)[-1].path, "anl").facts
    assert facts["num_copied"] > 0


def test_a_trained_file_draws_after_pictures_and_texts_and_each_condition_counts(
    own_base, dataset, tmp_path
):
    base = own_base
    ready = train(base, dataset, tmp_path, steps=60)[-1]
    assert isinstance(ready, ArtifactReady)
    artifact = load_artifact(ready.path, "anl")
    adapter = load_anl(artifact, base)
    clip = open_clip(base, artifact.config["clip"])
    texts = base.encode_prompts([""]).detach().expand(2, -1, -1)
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    noise = randn_per_image(torch.empty(2, *base.latent_shape), generators)
    conditions = condition_embeddings(clip, [1, 2], texts=["a red heart", "a blue car"])

    def drawn(predict, scale):
        steps = reverse_from_start(
            guided(predict, texts, texts, scale),
            None,
            noise,
            base.schedule,
            t0=1.0,
            num_inference_steps=5,
        )
        *_, latents = steps
        return latents

    with with_anl(base, adapter):
        predict = conditioned(base.predict_noise, adapter, conditions)
        one, other = drawn(predict, 2.0)
    assert (one - other).abs().max() > 1e-3
    same = drawn(base.predict_noise, 2.0)
    torch.testing.assert_close(same[0], same[1])
    assert (same[0] - one).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rank": -1}, r"rank must lie in \[0, 4096\], got -1"),
        ({"condition_dropout": 2}, "condition_dropout must .*got 2"),
        ({"variant": "both"}, "variant must be one of conditional, unconditional, got 'both'"),
    ],
)
def test_a_wrong_setting_is_one_sentence(values, message):
    with pytest.raises(InvalidInputError, match=message):
        parse_config("anl", values)
