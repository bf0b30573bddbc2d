"""The autoencoder: an f=4 model at half size, then grown to f=8 by one near-identity stage.

Trained from nothing, f=8 is slow; grown from a trained f=4 it starts near its end. Shapes: B
pictures, S pixels a side, latents (B, C, S / 8, S / 8).
"""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from tools.starter.compose import (
    jitter,
    mosaic,
    over,
    random_backgrounds,
    smaller,
    to_float,
)
from tools.starter.loop import Schedule, Stage, autocast, fingerprint
from tools.starter.render import Pixels

WIDTHS = (16, 48, 96)
"""Widths of the f=4 model; growing repeats the first."""
LATENT_CHANNELS = 4
KL_WEIGHT = 1e-4
MOSAIC_EVERY = 3
"""One batch in so many shows four icons at half size in each picture: finer, denser art."""
DECODER_SQUARE_WEIGHT = 4.0
"""Large errors, such as an outline that is lost, count for more once the encoder stands."""
DECODER_FIRST_BATCH = 1_000_000
"""Batch numbers that the earlier stages do not reach."""


def make_autoencoder(widths: tuple[int, ...], size_px: int) -> AutoencoderKL:
    """An untrained AutoencoderKL whose factor is 2 to the number of widths less one."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=size_px,
        scaling_factor=1.0,
        force_upcast=False,
    )


@torch.no_grad()
def grow(small: AutoencoderKL, widths: tuple[int, ...], size_px: int) -> AutoencoderKL:
    """Add one outer stage that changes almost nothing; the old stages move one level inwards."""
    large = make_autoencoder((widths[0], *widths), size_px)
    state = large.state_dict()
    depth = len(widths)
    for key, value in small.state_dict().items():
        state[_inwards(key)].copy_(value)
    enter, old_enter = large.encoder.conv_in, small.encoder.conv_in
    enter.weight[:3].zero_()
    enter.bias[:3].zero_()
    for channel in range(3):
        enter.weight[channel, channel, 1, 1] = 1.0
    shrink = large.encoder.down_blocks[0].downsamplers[0].conv
    shrink.weight.zero_()
    shrink.weight[:, :3].copy_(old_enter.weight)
    shrink.bias.copy_(old_enter.bias)
    widen = large.decoder.up_blocks[depth - 1].upsamplers[0].conv
    widen.weight.zero_()
    for channel in range(widths[0]):
        widen.weight[channel, channel, 1, 1] = 1.0
    widen.bias.zero_()
    for block in (large.encoder.down_blocks[0], large.decoder.up_blocks[depth]):
        for resnet in block.resnets:
            resnet.conv2.weight.zero_()
            resnet.conv2.bias.zero_()
    return large


def _inwards(key: str) -> str:
    if key.startswith("encoder.down_blocks."):
        head, tail = key.removeprefix("encoder.down_blocks.").split(".", 1)
        return f"encoder.down_blocks.{int(head) + 1}.{tail}"
    return key


def reconstruction_loss(
    reconstruction: Tensor, image: Tensor, square_weight: float = 1.0
) -> Tensor:
    """L1 + ``square_weight`` x L2 + half the L1 of the picture's slopes."""
    difference = reconstruction - image
    slopes = difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()
    return difference.abs().mean() + square_weight * difference.square().mean() + 0.5 * slopes


def autoencoder_loss(model: AutoencoderKL, image: Tensor) -> Tensor:
    """Reconstruction plus a small pull of the latents towards N(0, I)."""
    with autocast(image.device):
        posterior = model.encode(image).latent_dist
        reconstruction = model.decode(posterior.sample()).sample
    kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).float().mean()
    return cast(Tensor, reconstruction_loss(reconstruction.float(), image) + KL_WEIGHT * kl)


def batches(
    pixels: Pixels, batch_size: int, shrink: int, device: torch.device
) -> Callable[[int], Tensor]:
    """A function from step to a (B, 3, S, S) batch; the same step gives the same batch."""
    resident = torch.from_numpy(pixels).to(device if device.type == "cuda" else "cpu")

    def draw(count: int, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(resident), (count,), generator=generator, device=resident.device)
        return to_float(resident[rows]).to(device)

    def batch(step: int) -> Tensor:
        generator = torch.Generator(resident.device).manual_seed(step)
        is_mosaic = step % MOSAIC_EVERY == 0
        rgba = mosaic(draw(4 * batch_size, generator)) if is_mosaic else draw(batch_size, generator)
        if shrink > 1:
            rgba = smaller(rgba, shrink)
        rgba = jitter(rgba, generator)
        image = over(rgba, random_backgrounds(rgba, generator))
        return image.contiguous(memory_format=torch.channels_last)

    return batch


def train_autoencoder(
    model: AutoencoderKL,
    pixels: Pixels,
    schedule: Schedule,
    work_dir: Path,
    device: torch.device,
    *,
    shrink: int = 1,
) -> AutoencoderKL:
    """Train for the schedule's time; ``shrink`` 2 trains on half-size pictures."""
    model = model.to(device, memory_format=torch.channels_last).train()
    stage = Stage(model, schedule, work_dir)
    draw = batches(pixels, schedule.batch_size // schedule.replicas, shrink, device)
    stage.run(lambda copy, step: autoencoder_loss(cast(AutoencoderKL, copy), draw(step)))
    return model.eval()


class Decoder(nn.Module):
    """The decoding half alone, under training; the encoder that it reads stays as it is."""

    def __init__(self, autoencoder: AutoencoderKL) -> None:
        super().__init__()
        self.decoder = autoencoder.decoder
        self.post_quant_conv = autoencoder.post_quant_conv

    def forward(self, latents: Tensor) -> Tensor:
        """(B, C, S / 8, S / 8) latents to (B, 3, S, S) pictures."""
        return cast(Tensor, self.decoder(self.post_quant_conv(latents)))


def train_decoder(
    autoencoder: AutoencoderKL,
    pixels: Pixels,
    schedule: Schedule,
    work_dir: Path,
    device: torch.device,
) -> AutoencoderKL:
    """Go on with the decoder only: cheaper a picture, and cached latents stay valid."""
    autoencoder = autoencoder.to(device, memory_format=torch.channels_last)
    half = Decoder(autoencoder).train()
    stands_on = fingerprint(autoencoder.encoder)
    draw = batches(pixels, schedule.batch_size // schedule.replicas, 1, device)

    def loss_of(copy: nn.Module, step: int) -> Tensor:
        image = draw(step + DECODER_FIRST_BATCH)
        with autocast(device):
            with torch.no_grad():
                latents = autoencoder.encode(image).latent_dist.mean
            reconstruction = copy(latents)
        return reconstruction_loss(reconstruction.float(), image, DECODER_SQUARE_WEIGHT)

    Stage(half, schedule, work_dir, stands_on).run(loss_of)
    return autoencoder.eval()
