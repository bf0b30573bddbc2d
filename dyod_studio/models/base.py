"""A loaded base model: what the rest of the studio knows of a latent diffusion model.

Shapes: B images of R x R pixels in [-1, 1], C latent channels, h x w latent cells, L tokens of
width D. The networks are frozen; whatever is trained is added beside them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler
from PIL import Image
from torch import Tensor

from dyod_studio.diffusion.sampling import NoiseSchedule
from dyod_studio.errors import InvalidInputError

DEFAULT_GUIDANCE_SCALE = 7.5
"""Default of Stable Diffusion's own pipelines."""


@dataclass(slots=True)
class BaseModel:
    """The parts of one base model on one device.

    Args:
        ref: how the user named it: ``starter``, a folder, a hub id or a file.
        fingerprint: short hash of its weights; artifacts remember which base they belong to.
        dtype: what the U-Net computes in; the autoencoder and the text encoder use float32.
        guidance_scale: w that suits this base when the user gives none.
        image_encoder: CLIP image encoder with projection, when the base has one.
        side_px: pixels along one side, when other than the base's own.
        has_resting_vae: the autoencoder stays off the device but for its own calls.
        path: the folder or file that it was loaded from.
    """

    ref: str
    fingerprint: str
    tokenizer: Any
    text_encoder: Any
    unet: Any
    vae: Any
    schedule: NoiseSchedule
    device: torch.device
    dtype: torch.dtype = torch.float32
    guidance_scale: float = DEFAULT_GUIDANCE_SCALE
    image_encoder: Any = None
    side_px: int | None = None
    has_resting_vae: bool = False
    path: Path | None = None

    @property
    def vae_scale_factor(self) -> int:
        """Pixels along one side of a latent cell (f)."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, h, w) of one picture."""
        size = self.resolution // self.vae_scale_factor
        return (self.unet.config.in_channels, size, size)

    @property
    def resolution(self) -> int:
        """Pixels along one side of a picture (R)."""
        return self.side_px or self.own_resolution

    @property
    def own_resolution(self) -> int:
        """Resolution that the base model was trained at, in pixels."""
        return self.unet.config.sample_size * self.vae_scale_factor

    @property
    def resolution_multiple(self) -> int:
        """Step between possible resolutions, in pixels: the networks halve it that often."""
        return self.vae_scale_factor * 2 ** (len(self.unet.config.block_out_channels) - 1)

    @property
    def num_unet_parameters(self) -> int:
        """How many weights the U-Net has."""
        return sum(weight.numel() for weight in self.unet.parameters())

    def at_resolution(self, side_px: int | None) -> "BaseModel":
        """The same networks, working at another resolution; None for their own."""
        return replace(self, side_px=side_px)

    @torch.no_grad()
    def encode_images(self, images: Tensor) -> Tensor:
        """Mean of the autoencoder's posterior, times its scaling factor.

        (B, 3, R, R) in [-1, 1] -> (B, C, h, w) float32.
        """
        images = images.to(self.device, next(self.vae.parameters()).dtype)
        with self._awake_vae() as vae:
            return vae.encode(images).latent_dist.mode().float() * vae.config.scaling_factor

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 3, R, R) float32 in [-1, 1], one at a time to save memory."""
        latents = latents.to(self.device, next(self.vae.parameters()).dtype)
        scaled = latents / self.vae.config.scaling_factor
        with self._awake_vae() as vae:
            images = torch.cat([vae.decode(row.unsqueeze(0)).sample for row in scaled])
        return images.float().clamp(-1, 1)

    def token_ids(self, prompts: Sequence[str]) -> Tensor:
        """(B, L) token ids, padded to the text encoder's length.

        Raises:
            InvalidInputError: a prompt is longer than the text encoder can read.
        """
        length = self.tokenizer.model_max_length
        rows = [self.tokenizer(prompt).input_ids for prompt in prompts]
        for prompt, row in zip(prompts, rows, strict=True):
            if len(row) > length:
                raise InvalidInputError(
                    f"The prompt has {len(row) - 2} tokens, this base model reads "
                    f"{length - 2}: shorten {prompt[:60]!r}."
                )
        padded = self.tokenizer(
            list(prompts), padding="max_length", max_length=length, return_tensors="pt"
        )
        return padded.input_ids.to(self.device)

    def cut_prompt(self, prompt: str) -> str:
        """The prompt without the last words that the text encoder has no room for."""
        words = prompt.split(" ")
        while len(self.tokenizer(" ".join(words)).input_ids) > self.tokenizer.model_max_length:
            words.pop()
        return " ".join(words)

    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Last hidden state of the text encoder: B prompts -> (B, L, D) conditioning.

        Gradients flow to whatever is trained in the text encoder.
        """
        return self.text_encoder(self.token_ids(prompts)).last_hidden_state

    def denoise(self, latents: Tensor, timesteps: int | Tensor, conditioning: Tensor) -> Tensor:
        """The U-Net's raw output, float32: noise or v, as ``schedule.prediction_type`` says.

        Args:
            latents: (B, C, h, w). timesteps: one for all, or (B,). conditioning: (B, L, D).
        """
        timesteps = torch.as_tensor(timesteps, device=self.device)
        output = self.unet(
            latents.to(self.device, self.dtype),
            timesteps,
            encoder_hidden_states=conditioning.to(self.device, self.dtype),
            return_dict=False,
        )
        return output[0].float()

    @contextmanager
    def sparing_memory(self, *, recompute: bool) -> Iterator[None]:
        """Trade time for memory while gradients pass through the U-Net.

        The autoencoder waits off a card but for its own calls.

        Args:
            recompute: activations are computed again on the way back, about a fifth more time;
                diffusers does it in training mode only.
        """
        if self.device.type != "cpu":
            self.vae.to("cpu")
            self.has_resting_vae = True
        if recompute:
            self.unet.enable_gradient_checkpointing()
            self.unet.train()
        try:
            yield
        finally:
            self.unet.disable_gradient_checkpointing()
            self.unet.eval()
            self.has_resting_vae = False

    @contextmanager
    def _awake_vae(self) -> Iterator[Any]:
        self.vae.to(self.device)
        try:
            yield self.vae
        finally:
            if self.has_resting_vae:
                self.vae.to("cpu")

    def predict_noise(self, latents: Tensor, t: int, conditioning: Tensor) -> Tensor:
        """eps_phi(x_t, t, c) of DYOD, eq. (7), whatever the U-Net predicts."""
        return self.schedule.to_noise(self.denoise(latents, t, conditioning), latents, t)


def freeze(*modules: torch.nn.Module | None) -> None:
    """Put the modules into evaluation mode without gradients."""
    for module in modules:
        if module is not None:
            module.eval().requires_grad_(False)


def schedule_from_config(config: dict[str, Any]) -> NoiseSchedule:
    """The noise schedule of a base's scheduler configuration, whichever scheduler it names."""
    scheduler = DDIMScheduler.from_config(config)
    return NoiseSchedule(
        alphas_cumprod=scheduler.alphas_cumprod,
        prediction_type=scheduler.config.prediction_type,
        timestep_spacing=scheduler.config.timestep_spacing,
        steps_offset=scheduler.config.steps_offset,
        final_alpha_cumprod=float(scheduler.final_alpha_cumprod),
    )


def to_tensor(images: Sequence[Image.Image]) -> Tensor:
    """RGB pictures of one size -> (B, 3, H, W) float32 in [-1, 1]."""
    pixels = np.stack([np.asarray(image.convert("RGB")) for image in images])
    return from_pixels(torch.from_numpy(pixels))


def from_pixels(pixels: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in [-1, 1]."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pictures(images: Tensor) -> list[Image.Image]:
    """(B, 3, H, W) in [-1, 1] -> RGB pictures, rounded to the nearest of 256 levels."""
    pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return [Image.fromarray(row) for row in pixels.permute(0, 2, 3, 1).cpu().numpy()]


def fit(image: Image.Image, side: int) -> Image.Image:
    """A square picture at ``side`` pixels, by Lanczos as in the paper (sec. 4.1)."""
    return image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
