"""Parts of every kind on one base: together, each by itself, and gone without a trace."""

from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from dyod_studio.errors import InvalidInputError
from dyod_studio.models import customised
from dyod_studio.models.anl import Condition
from dyod_studio.models.custom_diffusion import CrossAttentionChange
from dyod_studio.models.customised import SamplingConfig, open_customised
from dyod_studio.models.initial_vae import InitialVae, VaeShape
from dyod_studio.models.whole_unet import unet_tensors, with_own_unet
from tests.models.parts import anl_part, dreambooth_part, part, shaken

UNET_PARTS = ("custom-diffusion", "dreambooth", "anl")
SAID = SamplingConfig(1, 3, 2.0, "a photo of a dog", codes="prior")
RED, BLUE = Image.new("RGB", (40, 30), "red"), Image.new("RGB", (30, 40), "blue")


@pytest.fixture
def shape():
    """The shape that brings a CLIP."""
    return "starter"


@pytest.fixture
def parts(base):
    """One part of each kind, each of which does something."""
    width = base.text_encoder.get_input_embeddings().embedding_dim
    words = torch.randn(2, 1, width, generator=torch.Generator().manual_seed(1))
    change = CrossAttentionChange(base.unet)
    shaken(change.changes.values(), 2)
    channels, side, _ = base.latent_shape
    torch.manual_seed(0)
    vae = InitialVae(VaeShape(channels, side, 6, (8,)))
    vae_facts = {"channels": channels, "side": side, "widths": [8]}
    concept = {"token": "<toy>", "class_noun": "cat"}
    return {
        "inversion": part(base, "inversion", {"emb_params": words[0]}, {"token": "<set>"}),
        "custom-diffusion": part(
            base, "custom-diffusion", {"emb_params": words[1], **change.tensors()}, concept
        ),
        "dreambooth": dreambooth_part(base),
        "anl": anl_part(base),
        "vae": part(
            base, "vae", vae.state_dict(), {"num_coordinates": 6, "space": "latents"}, vae_facts
        ),
    }


def drawn(base, parts, reverse=SAID, *, strength=1.0, start="prompt", seeds=(5,)):
    with ExitStack() as stack:
        model = open_customised(stack, base, parts, strength)
        images = model.sample(start, list(seeds), reverse)
    return np.stack([np.asarray(image, dtype=int) for image in images])


def chosen(parts, *kinds):
    return {kind: parts[kind] for kind in kinds}


def test_every_part_changes_the_picture_and_leaves_the_base_as_it_was(base, parts):
    plain = drawn(base, {})
    for kind in UNET_PARTS:
        assert np.abs(drawn(base, chosen(parts, kind)) - plain).max() > 0
        assert np.array_equal(drawn(base, {}), plain)
    started = replace(SAID, prompt=None)
    together = drawn(base, parts, started, start="distribution")
    for kind in UNET_PARTS:
        fewer = {name: p for name, p in parts.items() if name != kind}
        assert not np.array_equal(drawn(base, fewer, started, start="distribution"), together)
    assert np.array_equal(drawn(base, {}), plain)


def test_parts_are_attached_in_one_order_however_they_are_told(base, parts):
    reverse = replace(SAID, prompt="a <set> and a <toy>")
    backwards = dict(reversed(parts.items()))
    assert np.array_equal(drawn(base, parts, reverse), drawn(base, backwards, reverse))


def test_at_strength_zero_all_adapters_together_draw_the_bases_own_picture(base, parts):
    adapters = chosen(parts, *UNET_PARTS)
    plain = drawn(base, {})
    assert np.array_equal(drawn(base, adapters, strength=0.0), plain)
    half, whole = (drawn(base, adapters, strength=s) for s in (0.5, 1.0))
    assert not np.array_equal(half, plain)
    assert not np.array_equal(half, whole)


def test_the_prompt_is_what_the_most_particular_part_was_taught_with(base, parts):
    for kinds, expected in [
        ((), ""),
        (("inversion", "vae"), "<set>"),
        (("inversion", "anl"), "<set>"),
        (("inversion", "custom-diffusion"), "a <toy> cat"),
        (("inversion", "custom-diffusion", "dreambooth"), "a b dog"),
    ]:
        with ExitStack() as stack:
            assert open_customised(stack, base, chosen(parts, *kinds)).default_prompt == expected


def test_pictures_and_texts_are_heard_and_a_seed_decides_the_mask(base, parts, monkeypatch):
    only_anl = chosen(parts, "anl")

    def after(seeds=(5,), **values):
        return drawn(base, only_anl, replace(SAID, condition=Condition(**values)), seeds=seeds)

    red = after(images=[RED])
    assert not np.array_equal(red, drawn(base, only_anl))
    for changed in (
        {"images": [BLUE]},
        {"texts": ["a red cat"]},
        {"images": [RED], "texts": ["a red cat"]},
        {"images": [RED], "mask_rate": 0.9},
    ):
        assert not np.array_equal(after(**changed), red)
    monkeypatch.setattr(customised, "PIXELS_AT_ONCE", 2 * base.resolution**2)
    several = after(seeds=(5, 6, 7), images=[RED, BLUE], mask_rate=0.5)
    alone = after(seeds=(7,), images=[RED], mask_rate=0.5)
    assert np.abs(several[2] - alone[0]).max() <= 1


def test_a_whole_unet_goes_together_with_words_and_a_vae_alone(base, parts):
    with with_own_unet(base, seed=1) as learner:
        tensors = {n: t.clone() for n, t in unet_tensors(learner.unet).items()}
    whole = {
        kind: part(base, kind, tensors, {"prompt": "a cat"})
        for kind in ("full-finetune", "scratch")
    }
    tuned = chosen(whole, "full-finetune")
    plain = drawn(base, {})
    beside = tuned | chosen(parts, "inversion", "vae")
    started = drawn(base, beside, replace(SAID, prompt="a <set>"), start="distribution")
    assert not np.array_equal(started, drawn(base, tuned))
    assert np.array_equal(drawn(base, tuned), drawn(base, chosen(whole, "scratch")))
    assert not np.array_equal(drawn(base, tuned, strength=0.5), drawn(base, tuned))
    for kind in UNET_PARTS:
        with pytest.raises(InvalidInputError, match=f"a whole U-Net, the {kind} was trained on"):
            drawn(base, tuned | chosen(parts, kind))
    with pytest.raises(InvalidInputError, match="full-finetune brings a whole U-Net, the scratch"):
        drawn(base, whole)
    with pytest.raises(
        InvalidInputError, match=r"strength 0.5 of it draws nothing: use strength 1"
    ):
        drawn(base, chosen(whole, "scratch"), strength=0.5)
    assert np.array_equal(drawn(base, {}), plain)


def test_what_does_not_go_together_is_said_in_one_sentence(base, parts, base_models):
    heard = replace(SAID, condition=Condition(images=[RED]))
    clash = replace(parts["custom-diffusion"], config={"token": "<set>", "class_noun": "cat"})
    foreign = replace(parts["dreambooth"], base_fingerprint="another")
    unconditional = {"anl": anl_part(base, condition_width=0)}
    wrong = [
        ({"dreambooth": foreign}, {}, "The dreambooth was trained on .* is another one"),
        ({"magic": parts["vae"]}, {}, "Nothing is drawn with 'magic': use one of inversion"),
        (parts | {"custom-diffusion": clash}, {}, "both taught <set>: use one of them"),
        (parts, {"strength": 1.5}, r"adapter strength must lie in \[0, 1\], got 1.5"),
        ({}, {"reverse": heard}, "Only an anl draws after a condition"),
        (unconditional, {"reverse": heard}, "trained without a condition"),
        (parts, {"reverse": replace(SAID, condition=Condition())}, "Give a condition picture"),
    ]
    plain = drawn(base, {})
    for chosen_parts, values, message in wrong:
        with pytest.raises(InvalidInputError, match=message):
            drawn(base, chosen_parts, **values)
    assert np.array_equal(drawn(base, {}), plain)
