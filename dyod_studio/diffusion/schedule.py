"""The noise schedule of a base model, and which of its timesteps a reverse process visits.

T training timesteps, t an index in [0, T), N inference steps of the full schedule.
"""

import math
from dataclasses import dataclass, replace
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
