"""The denoiser: v-prediction on cached latents, arXiv:2202.00512, weighted after arXiv:2303.09556.

Shapes: B pictures, latents (B, C, h, w), conditioning (B, L, D), T training timesteps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from torch import Tensor, nn

from tools.starter.latents import TextTable
from tools.starter.loop import Schedule, Stage, autocast

Prediction = Literal["v_prediction", "epsilon"]
Model = TypeVar("Model", bound=nn.Module)
EMPTY_SHARE = 0.1
"""Share of captions left empty, so that guidance has something to steer away from."""
SNR_LIMIT = 5.0


@dataclass(frozen=True, slots=True)
class UNetSize:
    """Widths from the finest level to the coarsest."""

    widths: tuple[int, int, int] = (64, 128, 192)
    heads: int = 4
    layers: int = 1
    groups: int = 16


@dataclass(frozen=True, slots=True)
class TrainingData:
    """All that the denoiser learns from, resident in memory."""

    latents: Tensor
    """(N, C, h, w), whitened, half precision."""
    weights: Tensor
    """(N,) sampling weights."""
    table: TextTable
    texts: Tensor
    """Row 0 is the empty caption: (T, L, D) embeddings in half precision, or (T, L) token ids for a
    model that embeds them itself."""


def make_unet(size: UNetSize, latent_px: int, conditioning_width: int) -> UNet2DConditionModel:
    """An untrained denoiser; attention at the two coarser levels."""
    return UNet2DConditionModel(
        sample_size=latent_px,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=size.widths,
        layers_per_block=size.layers,
        cross_attention_dim=conditioning_width,
        attention_head_dim=size.heads,
        norm_num_groups=size.groups,
    )


def make_scheduler() -> DDIMScheduler:
    """The noise schedule of Stable Diffusion, predicting v."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
    )


def stratified_timesteps(batch_size: int, num_timesteps: int, generator: torch.Generator) -> Tensor:
    """(B,) timesteps, one from each of B equal parts: less noisy than independent draws."""
    places = torch.arange(batch_size) + torch.rand(batch_size, generator=generator)
    return (places / batch_size * num_timesteps).long().clamp_max(num_timesteps - 1)


def training_alphas() -> Tensor:
    """(T,) cumulated alphas of the noise schedule."""
    return cast(Tensor, make_scheduler().alphas_cumprod)


def clean_picture_loss(
    predicted: Tensor,
    latents: Tensor,
    noise: Tensor,
    alphas_cumprod: Tensor,
    predicts: Prediction = "v_prediction",
) -> Tensor:
    """The velocity loss of any prediction: both are errors of the clean picture."""
    alpha = alphas_cumprod.view(-1, 1, 1, 1)
    if predicts == "epsilon":
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        clean = (noisy - (1 - alpha).sqrt() * predicted) / alpha.sqrt()
        predicted = (alpha.sqrt() * noisy - clean) / (1 - alpha).sqrt()
    return velocity_loss(predicted, latents, noise, alphas_cumprod)


def noise_loss(predicted: Tensor, noise: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """The error of the noise, weighted min(SNR, 5) / SNR as in arXiv:2303.09556."""
    snr = alphas_cumprod / (1 - alphas_cumprod)
    weight = snr.clamp(max=SNR_LIMIT) / snr
    return (weight * (predicted - noise).square().mean((1, 2, 3))).mean()


def velocity_loss(
    predicted: Tensor, latents: Tensor, noise: Tensor, alphas_cumprod: Tensor
) -> Tensor:
    """v = sqrt(a) noise - sqrt(1 - a) x, weighted min(SNR + 1, 5) / (SNR + 1).

    In terms of the clean picture that is min(SNR + 1, 5): as min-SNR where there is little noise,
    but at least 1 where there is much. There the text alone decides what is drawn, and with
    min-SNR's own weight, near 0, few samples teach little of it.

    Args:
        alphas_cumprod: (B,) at each picture's timestep.
    """
    alpha = alphas_cumprod.view(-1, 1, 1, 1)
    target = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
    snr = alphas_cumprod / (1 - alphas_cumprod)
    weight = (snr + 1).clamp(max=SNR_LIMIT) / (snr + 1)
    return (weight * (predicted - target).square().mean((1, 2, 3))).mean()


def train_unet(
    model: Model,
    data: TrainingData,
    schedule: Schedule,
    work_dir: Path,
    device: torch.device,
    predicts: Prediction = "v_prediction",
    stands_on: str = "",
) -> Model:
    """Train for the schedule's time; returns the averaged weights.

    Args:
        model: a U-Net, or one together with what embeds its text.
        stands_on: names the weights that the stage was begun on.
    """
    model = cast(Any, model).to(device, memory_format=torch.channels_last).train()
    # On a CPU the fused attention is slow backwards at 64 cells and 40 tokens.
    processor = AttnProcessor() if device.type == "cpu" else AttnProcessor2_0()
    for part in model.modules():
        if isinstance(part, UNet2DConditionModel):
            part.set_attn_processor(processor)
    alphas_cumprod = training_alphas().to(device)
    draw = _batches(data, schedule.batch_size // schedule.replicas, device)

    def loss_of(copy: nn.Module, step: int) -> Tensor:
        latents, noise, timesteps, conditioning = draw(step)
        alpha = alphas_cumprod[timesteps]
        noisy = alpha.sqrt().view(-1, 1, 1, 1) * latents
        noisy = noisy + (1 - alpha).sqrt().view(-1, 1, 1, 1) * noise
        with autocast(device):
            predicted = copy(noisy, timesteps, conditioning, return_dict=False)[0]
        if predicts == "epsilon":
            return noise_loss(predicted.float(), noise, alpha)
        return velocity_loss(predicted.float(), latents, noise, alpha)

    return cast(Model, Stage(model, schedule, work_dir, stands_on).run(loss_of).eval())


Batch = tuple[Tensor, Tensor, Tensor, Tensor]


def _batches(data: TrainingData, batch_size: int, device: torch.device) -> Callable[[int], Batch]:
    home = device if device.type == "cuda" else torch.device("cpu")
    latents, texts = data.latents.to(home), data.texts.to(home)
    edges = data.weights.double().cumsum(0)
    table = data.table

    def batch(step: int) -> Batch:
        generator = torch.Generator().manual_seed(step)
        draws = torch.rand(3, batch_size, generator=generator)
        picked = torch.searchsorted(edges, draws[0].double() * edges[-1])
        picked = picked.clamp_max(len(edges) - 1)
        said = table.caption_rows[table.first[picked] + (draws[1] * table.count[picked]).long()]
        said[draws[2] < EMPTY_SHARE] = 0
        clean = latents[picked.to(home)].float()
        clean = clean.contiguous(memory_format=torch.channels_last)
        noise = torch.randn(clean.shape, generator=generator).to(home)
        noise = noise.contiguous(memory_format=torch.channels_last)
        timesteps = stratified_timesteps(batch_size, 1000, generator).to(home)
        conditioning = texts[said.to(home)]
        if conditioning.is_floating_point():
            conditioning = conditioning.float()
        return clean, noise, timesteps, conditioning

    return batch
