"""Reverse diffusion on latents: tensors in, tensors out.

Shapes: B images, C latent channels, h x w latent cells, L tokens of width D, T timesteps.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from dyod_studio.diffusion.schedule import NoiseSchedule, diffuse
from dyod_studio.errors import InvalidInputError

NoisePredictor = Callable[[Tensor, int], Tensor]
"""eps_phi: ((B, C, h, w) latents, training timestep) -> (B, C, h, w) noise."""

ConditionedPredictor = Callable[[Tensor, int, Tensor], Tensor]
"""eps_phi with its condition: (latents, timestep, (B, L, D) conditioning) -> noise."""

Stepper = Callable[..., Iterator[Tensor]]
"""A sampler, called as ``ddim_steps`` is."""

Settle = Callable[[Tensor, int | None], Tensor]
"""(latents after a step, the timestep they are at; None when clean) -> latents to go on with."""


def generators_of(seeds: Sequence[int]) -> list[torch.Generator]:
    """One CPU generator an image, so that a seed means the same noise on every device."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def randn_per_image(like: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Draw float32 noise one image at a time: image i depends on generator i only, not on B.

    Raises:
        InvalidInputError: there is not exactly one generator for each image.
    """
    if len(generators) != len(like):
        raise InvalidInputError(
            f"{len(like)} images need {len(like)} seeds, got {len(generators)}."
        )
    rows = [torch.randn(like.shape[1:], generator=g, dtype=torch.float32) for g in generators]
    return torch.stack(rows).to(like.device, like.dtype)


def guided(
    predict: ConditionedPredictor,
    conditioning: Tensor,
    unconditional: Tensor,
    guidance_scale: float,
) -> NoisePredictor:
    """Classifier-free guidance in one denoiser call: uncond + w (cond - uncond).

    Sec. 3 of arXiv:2207.12598 with w counted from 1.

    Args:
        conditioning: (B, L, D). unconditional: (B, L, D), of the empty prompt.
        guidance_scale: w; 1 switches guidance off and halves the work.
    """
    if guidance_scale == 1:
        return lambda latents, t: predict(latents, t, conditioning)
    both = torch.cat([unconditional, conditioning])

    def predict_noise(latents: Tensor, t: int) -> Tensor:
        without, with_condition = predict(torch.cat([latents, latents]), t, both).chunk(2)
        return without + guidance_scale * (with_condition - without)

    return predict_noise


@torch.no_grad()
def ddim_steps(
    predict_noise: NoisePredictor,
    latents: Tensor,
    schedule: NoiseSchedule,
    timesteps: Sequence[int],
    *,
    settle: Settle | None = None,
) -> Iterator[Tensor]:
    """Yield the latents after each deterministic DDIM step, the clean ones last.

    Eq. (12) of arXiv:2010.02502 with sigma_t = 0.

    Args:
        predict_noise: the guided denoiser; called once a step.
        latents: (B, C, h, w), already noised to ``timesteps[0]``.
        timesteps: training timesteps to visit, strictly decreasing in [0, T).
        settle: changes the latents after a step, before the next one sees them.

    Raises:
        InvalidInputError: the timesteps are not strictly decreasing.
    """
    if any(a <= b for a, b in pairwise(timesteps)):
        raise InvalidInputError(f"timesteps must strictly decrease, got {list(timesteps)}.")
    final = torch.tensor(schedule.final_alpha_cumprod, device=latents.device, dtype=latents.dtype)
    alphas = [*(schedule.alpha(t, latents) for t in timesteps), final]
    levels: list[int | None] = [*timesteps, None]
    for (t, t_next), (alpha, alpha_next) in zip(pairwise(levels), pairwise(alphas), strict=True):
        assert t is not None  # only the last level has no timestep, and nothing begins there
        noise = predict_noise(latents, t)
        clean = (latents - (1 - alpha).sqrt() * noise) / alpha.sqrt()
        latents = diffuse(clean, noise, alpha_next)
        latents = latents if settle is None else settle(latents, t_next)
        yield latents


@torch.no_grad()
def ancestral_steps(
    predict_noise: NoisePredictor,
    latents: Tensor,
    schedule: NoiseSchedule,
    timesteps: Sequence[int],
    generators: Sequence[torch.Generator],
    *,
    settle: Settle | None = None,
) -> Iterator[Tensor]:
    """Yield the latents after each step of the stochastic sampler, the clean ones last.

    Eq. (12) of arXiv:2010.02502 with eta = 1, which is DDPM's own (arXiv:2006.11239, alg. 2).

    Args:
        predict_noise: the guided denoiser; called once a step.
        latents: (B, C, h, w) standard normal.
        timesteps: training timesteps to visit, strictly decreasing in [0, T).
        generators: one an image, for the noise that every step adds.
        settle: changes the latents after a step, before the next one sees them.
    """
    final = torch.tensor(schedule.final_alpha_cumprod, device=latents.device, dtype=latents.dtype)
    alphas = [*(schedule.alpha(t, latents) for t in timesteps), final]
    following: list[int | None] = [*timesteps[1:], None]
    for t, t_next, (alpha, alpha_next) in zip(timesteps, following, pairwise(alphas), strict=True):
        noise = predict_noise(latents, t)
        clean = (latents - (1 - alpha).sqrt() * noise) / alpha.sqrt()
        variance = (1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next)
        fresh = variance.sqrt() * randn_per_image(latents, generators)
        latents = alpha_next.sqrt() * clean + (1 - alpha_next - variance).sqrt() * noise + fresh
        latents = latents if settle is None else settle(latents, t_next)
        yield latents


def reverse_from_start(
    predict_noise: NoisePredictor,
    start: Tensor | None,
    noise: Tensor,
    schedule: NoiseSchedule,
    *,
    t0: float,
    num_inference_steps: int,
    region: Tensor | None = None,
    steps: Stepper = ddim_steps,
) -> Iterator[Tensor]:
    """Noise the start x' up to ``t0``, denoise it, and yield the latents after each step.

    Eq. (9) of DYOD when x' comes from the initial VAE, eq. (11) when it is the user's picture
    (SDEdit, arXiv:2108.01073); without x' the plain reverse process of the base model.
    Nothing is yielded when t0 leaves no step: the start is then the result.

    Args:
        start: (B, C, h, w) latents of x', or None to begin from pure noise at t0 = 1.
        noise: (B, C, h, w) standard normal.
        t0: share of the T timesteps, in [0, 1].
        num_inference_steps: N of the full schedule; round(N t0) calls are made.
        region: (1, 1, h, w) or (B, 1, h, w), true in cells that are drawn again; None for all.
        steps: the sampler that goes down the timesteps.

    Raises:
        InvalidInputError: t0 or N out of range; t0 below 1 or a region without a start.
    """
    timesteps = schedule.timesteps_from(t0, num_inference_steps)
    if start is None:
        if t0 != 1:
            raise InvalidInputError(f"Without a start picture t0 must be 1, got {t0}.")
        if region is not None:
            raise InvalidInputError("A region needs a picture that it is a part of.")
        return steps(predict_noise, noise, schedule, timesteps)
    if not timesteps:
        return iter(())
    latents = schedule.add_noise(start, noise, timesteps[0])
    settle = None if region is None else kept_outside(region, start, noise, schedule)
    return steps(predict_noise, latents, schedule, timesteps, settle=settle)


def kept_outside(region: Tensor, start: Tensor, noise: Tensor, schedule: NoiseSchedule) -> Settle:
    """Outside of the region the latents are q(x_t | x') with one and the same noise.

    Eq. (8a) and (8c) of arXiv:2201.09865 (RePaint), on latents as in arXiv:2206.02779.
    """

    def settle(latents: Tensor, t: int | None) -> Tensor:
        known = start if t is None else schedule.add_noise(start, noise, t)
        return torch.where(region, latents, known)

    return settle
