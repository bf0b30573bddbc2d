"""Every sampler: as diffusers itself runs it, at any t0, with a region, and alone as in a batch."""

from dataclasses import replace

import pytest
import torch
from diffusers import EulerDiscreteScheduler

from dyod_studio.diffusion.sampling import (
    NoiseSchedule,
    ancestral_steps,
    ddim_steps,
    generators_of,
    randn_per_image,
    reverse_from_start,
)
from dyod_studio.models.customised import sampler_of
from dyod_studio.models.samplers import MAKERS, STOCHASTIC, sampler_steps

BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
SCHEDULE = NoiseSchedule(torch.cumprod(1 - BETAS, dim=0), timestep_spacing="trailing")
IMAGE = torch.randn(1, 4, 8, 8, generator=generators_of([0])[0])
ALL = ("ddim", "ddpm", *MAKERS)


def exact(latents, t):
    """The noise when IMAGE is the whole data set."""
    alpha = SCHEDULE.alpha(t, latents)
    return (latents - alpha.sqrt() * IMAGE) / (1 - alpha).sqrt()


def wavy(latents, t):
    """A denoiser that no sampler can know."""
    return torch.sin(2 * latents) * 0.5 + 0.1 * torch.cos(latents * t / 100)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("number", [2, 5, 16])
def test_it_is_the_loop_of_diffusers(name, number):
    scheduler = MAKERS[name](
        trained_betas=BETAS.tolist(), prediction_type="epsilon",
        **({"timestep_spacing": "trailing"} if name != "lcm" else {}),
    )  # fmt: skip
    scheduler.set_timesteps(number)
    timesteps = [round(float(t)) for t in scheduler.timesteps]
    noise = randn_per_image(torch.empty(2, 4, 8, 8), generators_of([3, 4]))
    theirs = noise * scheduler.init_noise_sigma
    own = {"generator": generators_of([7, 8])} if name in STOCHASTIC else {}
    for t in scheduler.timesteps:
        inner = scheduler.scale_model_input(theirs, t)
        output = wavy(inner, int(t))
        theirs = scheduler.step(output, t, theirs, return_dict=False, **own)[0]
    start = noise
    if name in ("euler", "euler-a"):  # diffusers begins these at sigma, or beside it
        start = noise * scheduler.init_noise_sigma * SCHEDULE.alpha(timesteps[0], noise).sqrt()
    (*_, ours) = sampler_steps(name, wavy, start, SCHEDULE, timesteps, generators_of([7, 8]))
    torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-3)


def test_euler_is_ddim_and_its_ancestral_kind_is_ddpm():
    timesteps = SCHEDULE.timesteps_from(0.7, 10)
    noise = randn_per_image(torch.empty(2, 4, 8, 8), generators_of([3, 4]))
    (*_, euler) = sampler_steps("euler", wavy, noise, SCHEDULE, timesteps, ())
    (*_, ddim) = ddim_steps(wavy, noise, SCHEDULE, timesteps)
    torch.testing.assert_close(euler, ddim, rtol=1e-3, atol=1e-3)
    drawn = generators_of([7, 8]), generators_of([7, 8])
    (*_, ancestral) = sampler_steps("euler-a", wavy, noise, SCHEDULE, timesteps, drawn[0])
    (*_, ddpm) = ancestral_steps(wavy, noise, SCHEDULE, timesteps, drawn[1])
    torch.testing.assert_close(ancestral, ddpm, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("t0", [0.3, 0.7, 1.0])
def test_it_finds_the_only_picture_there_is_from_any_t0_and_keeps_what_lies_outside(name, t0):
    start, noise = torch.full_like(IMAGE, 2.0), randn_per_image(IMAGE, generators_of([1]))
    options = {"t0": t0, "num_inference_steps": 12, "steps": sampler_of(name, [5])}
    states = list(reverse_from_start(exact, start, noise, SCHEDULE, **options))
    assert len(states) == len(SCHEDULE.timesteps_from(t0, 12))
    torch.testing.assert_close(states[-1], IMAGE, rtol=2e-3, atol=2e-3)
    region = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    region[..., :2] = True
    options["steps"] = sampler_of(name, [5])
    (*_, part) = reverse_from_start(exact, start, noise, SCHEDULE, region=region, **options)
    assert torch.equal(part[..., 2:], start[..., 2:])
    torch.testing.assert_close(part[..., :2], IMAGE[..., :2], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", ALL)
def test_an_image_is_the_same_alone_and_in_a_batch_and_with_the_same_seed(name):
    noise = randn_per_image(torch.empty(2, 4, 8, 8), generators_of([3, 4]))
    timesteps = SCHEDULE.timesteps_from(0.8, 6)

    def drawn(rows):
        seeds = [[3, 4][row] for row in rows]
        (*_, end) = sampler_of(name, seeds)(wavy, noise[rows], SCHEDULE, timesteps)
        return end

    both = drawn([0, 1])
    torch.testing.assert_close(both[1:], drawn([1]))
    assert torch.equal(both, drawn([0, 1]))
    if name in ("ddpm", *STOCHASTIC):
        (*_, other) = sampler_of(name, [5, 6])(wavy, noise, SCHEDULE, timesteps)
        assert not torch.allclose(both, other)


def test_the_second_order_needs_fewer_steps_for_the_same_end():
    """Distance to the end of a thousand steps, in as many calls as DDIM."""
    noise = randn_per_image(IMAGE, generators_of([2]))

    def smooth(latents, t):
        return 0.5 * latents + 0.1 * torch.sin(latents)

    def end(name, number):
        timesteps = SCHEDULE.timesteps_from(0.9, number)
        (*_, last) = sampler_of(name, [1])(smooth, noise, SCHEDULE, timesteps)
        return last

    true = end("ddim", 1000)
    away = {name: float((end(name, 12) - true).norm()) for name in ("ddim", "dpm++", "unipc")}
    assert away["dpm++"] < 0.6 * away["ddim"]
    assert away["unipc"] < 0.6 * away["ddim"]


def test_a_base_with_its_own_last_alpha_ends_without_noise_too():
    schedule = replace(SCHEDULE, final_alpha_cumprod=float(SCHEDULE.alphas_cumprod[0]))
    scheduler = EulerDiscreteScheduler(trained_betas=BETAS.tolist())
    assert float(scheduler.sigmas[-1]) == 0
    (*_, end) = sampler_of("dpm++", [1])(exact, IMAGE + 1, schedule, [500, 200])
    torch.testing.assert_close(end, IMAGE, rtol=1e-3, atol=1e-3)
