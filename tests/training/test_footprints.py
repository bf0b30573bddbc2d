"""What a plan says of a method before it starts is what the method then trains and keeps."""

from dataclasses import replace

import pytest
import torch

from dyod_studio.models.anl import AnlAdapter, AnlBlock, AnlShape
from dyod_studio.models.base_size import STABLE_DIFFUSION, AttachmentPoint, UnetShape, base_size
from dyod_studio.models.custom_diffusion import CrossAttentionChange
from dyod_studio.models.lora import lora_parameters, with_new_lora
from dyod_studio.settings import STARTER_DIR
from dyod_studio.training.footprints import footprint_of
from dyod_studio.training.planning import plan_run
from dyod_studio.training.registry import load_method

WITHIN_MB = 11_000
FITTING = ("inversion", "vae", "dreambooth", "custom-diffusion", "anl")


def settings_of(method, **values):
    return load_method(method).config_class.model_construct(**values).model_dump(mode="json")


def trained(method, base_folder, **values):
    size = base_size(str(base_folder), STARTER_DIR)
    return footprint_of(load_method(method).info, settings_of(method, **values), size).num_trained


def number_of(parameters):
    return sum(weight.numel() for weight in parameters)


@pytest.mark.parametrize("has_text", [False, True])
def test_a_lora_is_counted_as_it_is_made(base, base_folder, has_text):
    with with_new_lora(base, rank=3, alpha=3, has_text_encoder=has_text, seed=0):
        counted = number_of(lora_parameters(base))
    said = trained("dreambooth", base_folder, rank=3, train_text_encoder=has_text)
    assert said == counted


def test_keys_values_and_vectors_are_counted_as_they_are_made(base, base_folder):
    width = base.text_encoder.get_input_embeddings().embedding_dim
    counted = CrossAttentionChange(base.unet).num_parameters + 2 * width
    assert trained("custom-diffusion", base_folder, num_vectors=2) == counted
    assert trained("inversion", base_folder, num_vectors=3) == 3 * width


@pytest.mark.parametrize("shape_values", [{}, {"rank": 3, "width": 8}])
@pytest.mark.parametrize("variant", ["conditional", "unconditional"])
def test_anl_modules_are_counted_as_they_are_made(base_models, base_folders, shape_values, variant):
    base = base_models["starter"]
    heard = 16 if variant == "conditional" else 0
    counted = AnlAdapter(base.unet, AnlShape(heard, **shape_values)).num_parameters
    assert trained("anl", base_folders["starter"], variant=variant, **shape_values) == counted


@pytest.mark.parametrize("method", ["full-finetune", "scratch"])
def test_a_whole_unet_is_counted_as_it_is(base, base_folder, method):
    assert trained(method, base_folder) == number_of(base.unet.parameters())
    assert trained("dreambooth", base_folder, layers="all") == number_of(base.unet.parameters())


@pytest.mark.parametrize("variant", ["conditional", "unconditional"])
def test_what_an_anl_module_leaves_for_the_way_back_is_what_is_said(variant):
    heard = 768 if variant == "conditional" else 0
    block = AnlBlock(320, AnlShape(heard))
    own = {weight.untyped_storage().data_ptr() for weight in block.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    hidden = torch.zeros(1, 320, 16, 16, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        block(hidden, torch.zeros(1, 2, heard) if heard else None)
    left = sum(number for number, _ in kept.values()) / 1e6
    one = replace(STABLE_DIFFUSION, unet=UnetShape((AttachmentPoint(320, 256),), (), 768))
    said = footprint_of(
        load_method("anl").info, settings_of("anl", variant=variant), one
    ).activations_mb
    assert said == pytest.approx(left, rel=0.2)


def test_stable_diffusion_is_counted_as_the_literature_counts_it():
    def of(method, **values):
        return footprint_of(
            load_method(method).info, settings_of(method, **values), STABLE_DIFFUSION
        )

    assert of("dreambooth", rank=4).num_trained == 797_184
    assert of("custom-diffusion").num_trained == 19_169_280 + 768
    assert 90e6 < of("anl").num_trained < 170e6
    assert of("anl", rank=64, width=64).num_trained < 0.1 * of("anl").num_trained


def planned(method, **values):
    config = load_method(method).config_class.model_construct(batch_size=1, **values)
    return plan_run(method, config, STABLE_DIFFUSION, "cuda", WITHIN_MB)


@pytest.mark.parametrize("method", FITTING)
def test_every_method_that_one_would_use_fits_a_card_of_11_gb(method):
    plan, _ = planned(method)
    assert plan.fits
    assert plan.peak_memory_mb <= WITHIN_MB


@pytest.mark.parametrize(
    ("method", "values"),
    [("full-finetune", {}), ("scratch", {}), ("dreambooth", {"layers": "all"})],
)
def test_all_layers_do_not_fit_and_the_plan_says_how_much_is_missing(method, values):
    plan, _ = planned(method, **values)
    assert not plan.fits
    assert plan.peak_memory_mb > 860_000_000 * 16 / 1e6
    assert "MB more have to be free" in plan.advice
