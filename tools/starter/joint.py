"""The denoiser and the text encoder taught together.

A text encoder that has learned from contrast alone says little more than what tells captions
apart: house, bus and car lie close together in it, and a denoiser that reads it mixes them up.
"""

from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from tools.starter.clip import SmallClip, tokenize
from tools.starter.loop import Schedule, fingerprint
from tools.starter.unet import TrainingData, train_unet


class Denoiser(nn.Module):
    """A U-Net that embeds its text itself: token ids (B, L) stand where embeddings did."""

    def __init__(self, unet: UNet2DConditionModel, text: CLIPTextModel) -> None:
        super().__init__()
        self.unet, self.text = unet, text

    def forward(
        self, noisy: Tensor, timesteps: Tensor, ids: Tensor, return_dict: bool = False
    ) -> tuple[Tensor]:
        """What the U-Net predicts for latents (B, C, h, w)."""
        conditioning = self.text(ids).last_hidden_state
        return cast(
            tuple[Tensor], self.unet(noisy, timesteps, conditioning, return_dict=return_dict)
        )


def train_jointly(
    unet: UNet2DConditionModel,
    clip: SmallClip,
    tokenizer: CLIPTokenizer,
    data: TrainingData,
    schedule: Schedule,
    work_dir: Path,
    device: torch.device,
) -> UNet2DConditionModel:
    """Go on from a trained denoiser; returns its averaged weights, the text's go into ``clip``."""
    stands_on = fingerprint(unet)
    model = Denoiser(unet.requires_grad_(True), clip.text.text_model)
    spoken = replace(data, texts=tokenize(tokenizer, data.table.texts))
    trained = train_unet(model, spoken, schedule, work_dir, device, stands_on=stands_on)
    clip.text.text_model.load_state_dict(trained.text.state_dict())
    return trained.unet
