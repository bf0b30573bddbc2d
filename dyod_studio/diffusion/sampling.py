"""The noise schedule of a base model and reverse diffusion along it: tensors in, tensors out.

Shapes: B images, C latent channels, h x w latent cells, L tokens of width D, T training timesteps,
t an index in [0, T), N inference steps of the full schedule.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from dyod_studio.errors import InvalidInputError

PredictionType = Literal["epsilon", "v_prediction"]
TimestepSpacing = Literal["leading", "trailing", "linspace"]


@dataclass(frozen=True, slots=True)
class NoiseSchedule:
    """q(x_t | x_0) = N(sqrt(a_t) x_0, (1 - a_t) I) with a_t = ``alphas_cumprod[t]``.

    Args:
        alphas_cumprod: (T,) float, decreasing in (0, 1].
        prediction_type: what the denoiser returns.
        timestep_spacing: how N inference steps are spread over T (arXiv:2305.08891, table 2).
        steps_offset: added to every timestep of the leading spacing.
        final_alpha_cumprod: a_t of the step below the last timestep, 1 for noise-free.
    """

    alphas_cumprod: Tensor
    prediction_type: PredictionType = "epsilon"
    timestep_spacing: TimestepSpacing = "leading"
    steps_offset: int = 1
    final_alpha_cumprod: float = 1.0

    @property
    def num_timesteps(self) -> int:
        """T."""
        return len(self.alphas_cumprod)

    def full_timesteps(self, num_inference_steps: int) -> list[int]:
        """The N timesteps of a whole reverse process, strictly decreasing.

        Raises:
            InvalidInputError: N does not lie in [1, T].
        """
        total, count = self.num_timesteps, num_inference_steps
        if not 1 <= count <= total:
            raise InvalidInputError(f"num_inference_steps must lie in [1, {total}], got {count}.")
        if self.timestep_spacing == "leading":
            ratio = total // count
            offset = min(self.steps_offset, total - 1 - (count - 1) * ratio)
            return [i * ratio + offset for i in range(count)][::-1]
        if self.timestep_spacing == "trailing":
            return [round(total - i * total / count) - 1 for i in range(count)]
        return torch.linspace(0, total - 1, count).round().long().flip(0).tolist()

    def timesteps_from(self, t0: float, num_inference_steps: int) -> list[int]:
        """About N t0 timesteps at or below ``t0``, strictly decreasing; none when t0 = 0.

        The speed-up T / t0 of DYOD, table 1. With the trailing spacing the first is t0 T - 1
        whatever N is, so that t0 means one amount of noise; the others are cut out of the full
        schedule, whose first timestep below t0 T depends on N.

        Raises:
            InvalidInputError: t0 lies outside [0, 1] or N outside [1, T].
        """
        if not 0 <= t0 <= 1:
            raise InvalidInputError(f"t0 must lie in [0, 1], got {t0}.")
        timesteps = self.full_timesteps(num_inference_steps)
        count = math.floor(num_inference_steps * t0 + 0.5)
        if self.timestep_spacing != "trailing":
            return timesteps[len(timesteps) - count :]
        first = round(t0 * self.num_timesteps)
        count = min(first, max(count, 1))
        return [round(first - i * first / count) - 1 for i in range(count)]

    def spaced(self, spacing: TimestepSpacing | Literal["scheduler"]) -> "NoiseSchedule":
        """The same noise with another spacing; ``scheduler`` keeps the base model's own."""
        return self if spacing == "scheduler" else replace(self, timestep_spacing=spacing)

    def alpha(self, timesteps: int | Tensor, like: Tensor) -> Tensor:
        """``alphas_cumprod`` at the timesteps, in ``like``'s dtype, to multiply (B, C, h, w)."""
        index = torch.as_tensor(timesteps, device=self.alphas_cumprod.device)
        alpha = self.alphas_cumprod[index].to(like.device, like.dtype)
        return alpha.reshape(-1, *[1] * (like.ndim - 1)) if alpha.ndim else alpha

    def add_noise(self, clean: Tensor, noise: Tensor, timesteps: int | Tensor) -> Tensor:
        """x_t from x_0: eq. (4) of DYOD. ``timesteps`` is one for all, or (B,)."""
        return diffuse(clean, noise, self.alpha(timesteps, clean))

    def to_noise(self, output: Tensor, latents: Tensor, timesteps: int | Tensor) -> Tensor:
        """The denoiser's ``output`` as a noise prediction: arXiv:2202.00512, appendix D."""
        if self.prediction_type == "epsilon":
            return output
        alpha = self.alpha(timesteps, latents)
        return alpha.sqrt() * output + (1 - alpha).sqrt() * latents

    def target(self, clean: Tensor, noise: Tensor, timesteps: int | Tensor) -> Tensor:
        """Target of the denoiser at x_t: the noise, or v = sqrt(a) e - sqrt(1-a) x_0."""
        if self.prediction_type == "epsilon":
            return noise
        alpha = self.alpha(timesteps, clean)
        return alpha.sqrt() * noise - (1 - alpha).sqrt() * clean


def diffuse(clean: Tensor, noise: Tensor, alpha_cumprod: Tensor) -> Tensor:
    """sqrt(a) x_0 + sqrt(1 - a) e: eq. (4) of arXiv:2006.11239."""
    return alpha_cumprod.sqrt() * clean + (1 - alpha_cumprod).sqrt() * noise


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
