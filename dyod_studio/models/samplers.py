"""Samplers of diffusers behind one door: any of them along timesteps that the studio chose.

The studio's own DDIM and DDPM stand in ``diffusion.sampling``. B images of C x h x w latents.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from dyod_studio.diffusion.sampling import NoisePredictor, NoiseSchedule, Settle

MAKERS: dict[str, Callable[..., Any]] = {
    "dpm++": partial(DPMSolverMultistepScheduler, solver_order=2, algorithm_type="dpmsolver++"),
    "unipc": partial(UniPCMultistepScheduler, solver_order=2),
    "euler": EulerDiscreteScheduler,
    "euler-a": EulerAncestralDiscreteScheduler,
    "lcm": LCMScheduler,
}
"""arXiv:2211.01095, arXiv:2302.04867, arXiv:2206.00364 (both Euler), arXiv:2310.04378."""
SIGMA_SPACE = ("euler", "euler-a")
"""These step latents that are x_t / sqrt(a_t) = x_0 + sigma_t e."""
STOCHASTIC = ("euler-a", "lcm")


@torch.no_grad()
def sampler_steps(
    name: str,
    predict_noise: NoisePredictor,
    latents: Tensor,
    schedule: NoiseSchedule,
    timesteps: Sequence[int],
    generators: Sequence[torch.Generator],
    *,
    settle: Settle | None = None,
) -> Iterator[Tensor]:
    """Yield the latents after each step, the clean ones last.

    Args:
        name: a key of ``MAKERS``.
        predict_noise: the guided denoiser; called once a step.
        latents: (B, C, h, w), already noised to ``timesteps[0]``.
        timesteps: training timesteps to visit, strictly decreasing.
        generators: one an image, for samplers that draw noise on the way.
        settle: changes the latents after a step, before the next one sees them.
    """
    scheduler = scheduler_at(name, schedule, timesteps)
    own = {"generator": list(generators)} if name in STOCHASTIC else {}
    alphas = [*(schedule.alpha(t, latents) for t in timesteps), torch.tensor(1.0)]
    is_scaled = name in SIGMA_SPACE
    for number, t in enumerate(scheduler.timesteps):
        inner = latents / alphas[number].sqrt() if is_scaled else latents
        noise = predict_noise(scheduler.scale_model_input(inner, t), int(t))
        inner = scheduler.step(noise, t, inner, return_dict=False, **own)[0]
        latents = inner * alphas[number + 1].to(inner).sqrt() if is_scaled else inner
        t_next = timesteps[number + 1] if number + 1 < len(timesteps) else None
        latents = latents if settle is None else settle(latents, t_next)
        yield latents


def scheduler_at(name: str, schedule: NoiseSchedule, timesteps: Sequence[int]) -> Any:
    """The scheduler of diffusers, made to visit these timesteps and to end without noise."""
    alphas = schedule.alphas_cumprod.double()
    betas = 1 - alphas / torch.cat([torch.ones(1, dtype=alphas.dtype), alphas[:-1]])
    scheduler = MAKERS[name](trained_betas=betas.tolist(), prediction_type="epsilon")
    scheduler.set_timesteps(len(timesteps))
    at = alphas[list(timesteps)]
    sigmas = torch.cat([((1 - at) / at).sqrt(), torch.zeros(1, dtype=at.dtype)])
    kind = torch.float32 if name in SIGMA_SPACE else torch.int64
    scheduler.timesteps = torch.tensor(timesteps, dtype=kind)
    scheduler.sigmas = sigmas.float()
    return scheduler
