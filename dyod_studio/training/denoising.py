"""Common ground of methods that train on noised latents: draws, loss, a loss to compare by.

B pictures a step, C x h x w latents, L tokens of width D.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from dyod_studio.diffusion.losses import denoising_loss
from dyod_studio.diffusion.sampling import generators_of, randn_per_image
from dyod_studio.models.base import BaseModel
from dyod_studio.models.control import Control
from dyod_studio.models.customised import SamplingConfig
from dyod_studio.training.data import Cached, rows_at
from dyod_studio.training.registry import MethodConfig

STEADY_SHARE = 0.2
"""The last part of a run, in which the updates grow smaller."""
PROMPTS_AT_ONCE = 32
NUM_DRAWS = 32
"""Noises on which states of a run are compared."""
PREVIEW_STEPS = 20
"""Denoiser calls for a preview."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Clean latents (B, C, h, w), the noise that is mixed in, and how much of it, (B,)."""

    clean: Tensor
    noise: Tensor
    timesteps: Tensor

    def __getitem__(self, part: slice) -> "Draw":
        return Draw(self.clean[part], self.noise[part], self.timesteps[part])

    def __len__(self) -> int:
        return len(self.clean)


def draw(clean: Tensor, num_timesteps: int, generator: torch.Generator) -> Draw:
    """Noise and timesteps for a batch."""
    noise = torch.randn(clean.shape, generator=generator)
    timesteps = torch.randint(num_timesteps, (len(clean),), generator=generator)
    return Draw(clean, noise, timesteps)


def draw_noisy(clean: Tensor, num_timesteps: int, generator: torch.Generator) -> Draw:
    """The same with more of the noisy timesteps, where it is decided what goes where.

    t = (1 - u^3) T for a uniform u: the cubic sampling of arXiv:2302.08453, sec. 3.3.
    """
    noise = torch.randn(clean.shape, generator=generator)
    share = 1 - torch.rand(len(clean), generator=generator) ** 3
    timesteps = (share * num_timesteps).long().clamp(max=num_timesteps - 1)
    return Draw(clean, noise, timesteps)


def joined(one: Draw, other: Draw) -> Draw:
    """Both in one batch."""
    return Draw(
        torch.cat([one.clean, other.clean]),
        torch.cat([one.noise, other.noise]),
        torch.cat([one.timesteps, other.timesteps]),
    )


class EncodedCaptions:
    """The captions of a set and the empty prompt, as a frozen text encoder reads them, once."""

    def __init__(self, base: BaseModel, captions: Sequence[str]) -> None:
        firsts = range(0, len(captions), PROMPTS_AT_ONCE)
        parts = [captions[first : first + PROMPTS_AT_ONCE] for first in firsts]
        with torch.no_grad():
            self._captions = torch.cat([base.encode_prompts(list(part)) for part in parts])
            self._empty = base.encode_prompts([""])

    def rows(self, rows: Sequence[int], is_captioned: Sequence[bool]) -> Tensor:
        """(B, L, D): each picture's caption, or the empty prompt."""
        is_kept = torch.tensor(is_captioned, device=self._captions.device)[:, None, None]
        return torch.where(is_kept, self._captions[list(rows)], self._empty)


def loss_of(
    base: BaseModel, drawn: Draw, conditioning: Tensor, weights: Tensor | None = None
) -> Tensor:
    """E || eps - eps_phi(z_t, t, c) ||^2 of a batch, or its like where the base predicts v.

    Args:
        conditioning: (B, L, D). weights: (B,) one weight a picture, or None.
    """
    clean, noise, timesteps = (
        x.to(base.device) for x in (drawn.clean, drawn.noise, drawn.timesteps)
    )
    noisy = base.schedule.add_noise(clean, noise, timesteps)
    output = base.denoise(noisy, timesteps, conditioning)
    weights = None if weights is None else weights.to(base.device)
    return denoising_loss(output, base.schedule.target(clean, noise, timesteps), weights)


@torch.no_grad()
def fixed_loss(
    base: BaseModel,
    latents: Cached,
    loss_at: Callable[[Draw, int], Tensor],
) -> float:
    """Mean loss on fixed pictures, noises and timesteps, to compare states of a run.

    Args:
        loss_at: the loss of one draw of the picture with that index.
    """
    losses = []
    for number in range(NUM_DRAWS):
        index = number % len(latents)
        clean = rows_at(latents, [index])
        noise = randn_per_image(clean, generators_of([number]))
        t = (2 * number + 1) * base.schedule.num_timesteps // (2 * NUM_DRAWS)
        losses.append(loss_at(Draw(clean, noise, torch.tensor([t])), index))
    return float(torch.stack(losses).mean())


def preview_config(
    prompt: str | None = None,
    guidance_scale: float | None = None,
    control: Control | None = None,
    t0: float = 1.0,
) -> SamplingConfig:
    """How a preview is drawn: in fewer steps than a picture."""
    return SamplingConfig(
        t0=t0,
        num_inference_steps=PREVIEW_STEPS,
        guidance_scale=guidance_scale,
        prompt=prompt,
        control=control,
    )


def beside(own: Image.Image, drawn: Image.Image) -> Image.Image:
    """Two pictures of one height in one: what was given, and what is drawn after it."""
    pair = Image.new("RGB", (own.width + drawn.width, drawn.height), "white")
    pair.paste(own, (0, 0))
    pair.paste(drawn, (own.width, 0))
    return pair


def steady_end(config: MethodConfig, step: int) -> float:
    """The learning rate: constant, then linear to a tenth over the last part of the run."""
    left = (config.steps - step) / max(1, STEADY_SHARE * config.steps)
    return config.learning_rate * (0.1 + 0.9 * min(1.0, left))
