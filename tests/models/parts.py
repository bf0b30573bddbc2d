"""Artifacts of every kind of adapter with random weights, each of which does something."""

import torch

from dyod_studio.models.anl import AnlAdapter, AnlShape
from dyod_studio.models.artifacts import Artifact
from dyod_studio.models.lora import lora_parameters, lora_tensors, with_new_lora


@torch.no_grad()
def shaken(parameters, seed):
    generator = torch.Generator().manual_seed(seed)
    for weight in parameters:
        weight.copy_(0.2 * torch.randn(weight.shape, generator=generator))


def part(base, kind, tensors, config, facts=None):
    kept = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    return Artifact(kind, base.ref, base.fingerprint, config, facts or {}, kept)


def anl_part(base, condition_width=16):
    adapter = AnlAdapter(base.unet, AnlShape(condition_width, 4, 8))
    shaken(adapter.parameters(), 3)
    config = {"rank": 4, "width": 8, "clip": "", "prompt": ""}
    return part(base, "anl", adapter.state_dict(), config)


def dreambooth_part(base):
    with with_new_lora(base, rank=2, alpha=2, has_text_encoder=True, seed=0):
        shaken(lora_parameters(base), 4)
        return part(base, "dreambooth", lora_tensors(base), {}, {"prompt": "a b dog"})
