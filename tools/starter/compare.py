"""Denoisers of other sizes and targets, each trained from nothing for the same few minutes.

Shapes: B pictures, latents (B, C, h, w).
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from tools.starter.loop import Schedule, autocast
from tools.starter.recipe import Recipe
from tools.starter.unet import (
    Prediction,
    TrainingData,
    UNetSize,
    clean_picture_loss,
    make_unet,
    stratified_timesteps,
    train_unet,
    training_alphas,
)

COMPARISON_NAME = "comparison.json"
HELD_BACK = 256
"""Pictures that no candidate is trained on."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One denoiser to try."""

    size: UNetSize
    predicts: Prediction = "v_prediction"


CANDIDATES = (
    Candidate(UNetSize((64, 128, 192))),
    Candidate(UNetSize((32, 128, 192))),
    Candidate(UNetSize((64, 128, 192)), "epsilon"),
)


def compare(
    recipe: Recipe, data: TrainingData, minutes: float, work_dir: Path, device: torch.device
) -> list[dict[str, object]]:
    """Train every candidate for ``minutes`` and write what it reached beside the log."""
    schedule = recipe.planned(0, device.type, 2)["unet"]
    schedule = replace(schedule, budget_s=minutes * 60, flat_share=0.5)
    rows = [_try(candidate, data, schedule, work_dir, device) for candidate in CANDIDATES]
    (work_dir / COMPARISON_NAME).write_text(json.dumps(rows, indent=1) + "\n")
    return rows


def _try(
    candidate: Candidate,
    data: TrainingData,
    schedule: Schedule,
    work_dir: Path,
    device: torch.device,
) -> dict[str, object]:
    name = "-".join([candidate.predicts, *map(str, candidate.size.widths)])
    folder = work_dir / "compare" / name
    folder.mkdir(parents=True, exist_ok=True)
    held_back = _held_back(data)
    weights = data.weights.clone()
    weights[held_back] = 0
    torch.manual_seed(0)
    model = make_unet(candidate.size, data.latents.shape[-1], data.texts.shape[-1])
    trained = train_unet(
        model, replace(data, weights=weights), schedule, folder, device, candidate.predicts
    )
    last = json.loads((folder / "log.jsonl").read_text().splitlines()[-1])
    return {
        "widths": candidate.size.widths,
        "predicts": candidate.predicts,
        "parameters": sum(p.numel() for p in model.parameters()),
        "minutes": schedule.budget_s / 60,
        "samples": last["samples"],
        "samples_per_s": last["samples_per_s"],
        "loss": fixed_loss(trained, data, held_back, candidate.predicts, device),
    }


@torch.no_grad()
def fixed_loss(
    model: UNet2DConditionModel,
    data: TrainingData,
    rows: Tensor,
    predicts: Prediction,
    device: torch.device,
) -> float:
    """Weighted error of the clean picture on fixed pictures, captions, noises and timesteps."""
    generator = torch.Generator().manual_seed(0)
    alphas = training_alphas()
    losses = []
    for part in rows.split(32):
        clean = data.latents[part].float()
        noise = torch.randn(clean.shape, generator=generator)
        timesteps = stratified_timesteps(len(part), len(alphas), generator)
        alpha = alphas[timesteps].view(-1, 1, 1, 1)
        noisy = (alpha.sqrt() * clean + (1 - alpha).sqrt() * noise).to(device)
        said = data.texts[data.table.caption_rows[data.table.first[part]]].float().to(device)
        with autocast(device):
            output = model(noisy, timesteps.to(device), said, return_dict=False)[0]
        losses.append(
            clean_picture_loss(output.float().cpu(), clean, noise, alphas[timesteps], predicts)
        )
    return float(torch.stack(losses).mean())


def _held_back(data: TrainingData) -> Tensor:
    generator = torch.Generator().manual_seed(11)
    return torch.randperm(len(data.latents), generator=generator)[:HELD_BACK]
