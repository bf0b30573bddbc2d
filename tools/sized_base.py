"""A base model as large as Stable Diffusion 1.5, of random weights: nothing is downloaded."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from dyod_studio.models.base import BaseModel, freeze, schedule_from_config
from dyod_studio.models.devices import DtypePolicy
from dyod_studio.models.loading import store_weights_in
from dyod_studio.models.single_file import clip_tokenizer

CONFIGS = Path(__file__).parents[1] / "assets" / "single_file" / "sd1"


def build_base(policy: DtypePolicy, device: torch.device) -> BaseModel:
    """Stable Diffusion 1.5 in all but its weights."""
    unet, vae, text, scheduler = (
        json.loads((CONFIGS / path).read_text(encoding="utf-8"))
        for path in (
            "unet/config.json",
            "vae/config.json",
            "text_encoder/config.json",
            "scheduler/scheduler_config.json",
        )
    )
    torch.manual_seed(0)
    networks = (
        UNet2DConditionModel.from_config(unet),
        AutoencoderKL.from_config(vae),
        CLIPTextModel(CLIPTextConfig(**text)),
    )
    freeze(*networks)
    store_weights_in(networks[0], policy.storage, policy.compute)
    on_device = [torch.nn.Module.to(network, device=device) for network in networks]
    return BaseModel(
        ref="random",
        fingerprint="random",
        tokenizer=clip_tokenizer(),
        unet=on_device[0],
        vae=on_device[1],
        text_encoder=on_device[2],
        schedule=schedule_from_config(scheduler),
        device=device,
        dtype=policy.compute,
    )
