from collections import deque
from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler

from dyod_studio.diffusion.sampling import (
    NoiseSchedule,
    ancestral_steps,
    ddim_steps,
    generators_of,
    guided,
    randn_per_image,
    reverse_from_start,
)
from dyod_studio.errors import InvalidInputError

BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
ALPHAS_CUMPROD = torch.cumprod(1 - BETAS, dim=0)
SCHEDULE = NoiseSchedule(ALPHAS_CUMPROD, final_alpha_cumprod=float(ALPHAS_CUMPROD[0]))
IMAGE = torch.randn(1, 4, 8, 8, generator=generators_of([0])[0], dtype=torch.float64)


def predict_for_one_image(latents, t):
    """The exact eps_phi when IMAGE is the whole data set: no network is needed."""
    alpha = ALPHAS_CUMPROD[t]
    return (latents - alpha.sqrt() * IMAGE) / (1 - alpha).sqrt()


def wavy_output(latents, t):
    """Some smooth function of both arguments that no scheduler can know."""
    return torch.sin(3 * latents) + 0.1 * torch.cos(latents * t / 100)


def diffusers_scheduler(prediction_type, **changes):
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        **{"set_alpha_to_one": False, "steps_offset": 1, **changes},
        prediction_type=prediction_type,
    )


def our_schedule(scheduler):
    return NoiseSchedule(
        scheduler.alphas_cumprod,
        scheduler.config.prediction_type,
        scheduler.config.timestep_spacing,
        scheduler.config.steps_offset,
        float(scheduler.final_alpha_cumprod),
    )


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("num_steps", [1, 10, 25, 30, 50])
@pytest.mark.parametrize("set_alpha_to_one", [True, False])
def test_every_step_equals_diffusers_ddim(prediction_type, num_steps, set_alpha_to_one):
    scheduler = diffusers_scheduler(prediction_type, set_alpha_to_one=set_alpha_to_one)
    scheduler.set_timesteps(num_steps)
    schedule = our_schedule(scheduler)
    timesteps = schedule.timesteps_from(1, num_steps)
    assert timesteps == scheduler.timesteps.tolist()

    latents = theirs = torch.randn(2, 4, 8, 8, generator=generators_of([5])[0])

    def predict(x, t):
        return schedule.to_noise(wavy_output(x, t), x, t)

    for t, ours in zip(timesteps, ddim_steps(predict, latents, schedule, timesteps), strict=True):
        theirs = scheduler.step(wavy_output(theirs, t), t, theirs).prev_sample
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("num_steps", [1, 30])
@pytest.mark.parametrize("set_alpha_to_one", [True, False])
def test_every_ancestral_step_equals_diffusers_at_eta_one(
    prediction_type, num_steps, set_alpha_to_one
):
    scheduler = diffusers_scheduler(prediction_type, set_alpha_to_one=set_alpha_to_one)
    scheduler.set_timesteps(num_steps)
    schedule = our_schedule(scheduler)
    latents = randn_per_image(torch.empty(2, 4, 8, 8), generators_of([1, 2]))
    ours = ancestral_steps(
        lambda x, t: schedule.to_noise(wavy_output(x, t), x, t),
        latents,
        schedule,
        schedule.full_timesteps(num_steps),
        generators_of([3, 4]),
    )
    theirs = generators_of([3, 4])
    for step, t in zip(ours, scheduler.timesteps, strict=True):
        fresh = randn_per_image(latents, theirs)
        latents = scheduler.step(
            wavy_output(latents, t), t, latents, eta=1.0, variance_noise=fresh
        ).prev_sample
        torch.testing.assert_close(step, latents, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("num_steps", [1, 7, 50])
def test_each_spacing_visits_the_timesteps_of_diffusers(spacing, num_steps):
    scheduler = diffusers_scheduler("epsilon", timestep_spacing=spacing)
    scheduler.set_timesteps(num_steps)
    assert our_schedule(scheduler).full_timesteps(num_steps) == scheduler.timesteps.tolist()


def test_every_number_of_steps_has_that_many_timesteps():
    for num_steps in (*range(1, 1001, 37), 500, 501, 999, 1000):
        timesteps = SCHEDULE.full_timesteps(num_steps)
        assert len(set(timesteps)) == num_steps
        assert timesteps == sorted(timesteps, reverse=True)
        assert 0 <= timesteps[-1] <= timesteps[0] < 1000


def test_added_noise_equals_diffusers():
    scheduler = diffusers_scheduler("v_prediction")
    clean, noise = torch.randn(2, 3, 4, 8, 8, generator=generators_of([1])[0])
    t = torch.tensor([0, 400, 999])
    ours = our_schedule(scheduler)
    torch.testing.assert_close(
        ours.add_noise(clean, noise, t), scheduler.add_noise(clean, noise, t)
    )
    torch.testing.assert_close(
        ours.target(clean, noise, t), scheduler.get_velocity(clean, noise, t)
    )


@pytest.mark.parametrize("num_steps", [1, 2, 10, 50])
def test_the_only_image_is_recovered_in_any_number_of_steps(num_steps):
    schedule = NoiseSchedule(ALPHAS_CUMPROD)
    noise = randn_per_image(IMAGE, generators_of([1]))
    steps = reverse_from_start(
        predict_for_one_image, None, noise, schedule, t0=1, num_inference_steps=num_steps
    )
    (clean,) = deque(steps, maxlen=1)
    torch.testing.assert_close(clean, IMAGE)


@pytest.mark.parametrize("t0", [0.0, 0.01, 0.02, 0.29, 0.3, 0.5, 0.55, 0.999, 1.0])
def test_a_start_at_t0_makes_that_share_of_the_calls(t0):
    calls = []

    def predict(latents, t):
        calls.append(t)
        return predict_for_one_image(latents, t)

    start = torch.zeros_like(IMAGE)
    noise = randn_per_image(IMAGE, generators_of([1]))
    steps = list(reverse_from_start(predict, start, noise, SCHEDULE, t0=t0, num_inference_steps=50))
    assert len(steps) == len(calls) == int(50 * t0 + 0.5)
    assert all(t <= t0 * 1000 + 1 for t in calls)


def test_the_noised_start_has_the_mean_and_variance_of_the_forward_process():
    start = torch.full((4000, 1, 2, 2), 3.0, dtype=torch.float64)
    noise = torch.randn(start.shape, generator=generators_of([2])[0], dtype=torch.float64)
    noised = SCHEDULE.add_noise(start, noise, 481)
    alpha = ALPHAS_CUMPROD[481]
    assert noised.mean().item() == pytest.approx(3 * alpha.sqrt().item(), abs=0.03)
    assert noised.var().item() == pytest.approx(1 - alpha.item(), rel=0.03)


def test_an_image_does_not_depend_on_its_place_in_the_batch():
    batch = randn_per_image(torch.empty(4, 4, 8, 8), generators_of([7, 8, 9, 10]))
    alone = randn_per_image(torch.empty(1, 4, 8, 8), generators_of([9]))
    assert torch.equal(batch[2:3], alone)


def test_guidance_is_the_weighted_difference_and_one_switches_it_off():
    sizes = []

    def predict(latents, t, conditioning):
        sizes.append(len(latents))
        return latents * conditioning.mean(dim=(1, 2)).view(-1, 1, 1, 1)

    latents = torch.ones(2, 1, 2, 2)
    with_condition, without = torch.full((2, 3, 4), 5.0), torch.full((2, 3, 4), 2.0)
    off = guided(predict, with_condition, without, 1.0)(latents, 0)
    strong = guided(predict, with_condition, without, 3.0)(latents, 0)
    assert sizes == [2, 4]
    assert torch.equal(off, 5 * latents)
    assert torch.equal(strong, (2 + 3 * (5 - 2)) * latents)


@pytest.mark.parametrize(
    ("t0", "num_steps", "message"),
    [
        (1.5, 50, r"t0 must lie in \[0, 1\], got 1.5"),
        (-0.1, 50, r"t0 must lie in \[0, 1\], got -0.1"),
        (0.5, 0, r"num_inference_steps must lie in \[1, 1000\], got 0"),
        (0.5, 1001, r"num_inference_steps must lie in \[1, 1000\], got 1001"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_range(t0, num_steps, message):
    with pytest.raises(InvalidInputError, match=message):
        SCHEDULE.timesteps_from(t0, num_steps)


@pytest.mark.parametrize("t0", [0.001, 0.05, 0.3, 0.5, 0.777, 1.0])
def test_trailing_steps_begin_at_t0_itself_whatever_their_number(t0):
    schedule = replace(SCHEDULE, timestep_spacing="trailing")
    first = round(t0 * 1000) - 1
    for num_steps in (1, 8, 12, 20, 50, 1000):
        timesteps = schedule.timesteps_from(t0, num_steps)
        assert timesteps[0] == first
        assert timesteps == sorted(set(timesteps), reverse=True)
        assert timesteps[-1] >= 0
        assert abs(len(timesteps) - t0 * num_steps) <= 1
    assert schedule.timesteps_from(0, 50) == []
    assert schedule.timesteps_from(1, 50) == schedule.full_timesteps(50)


def test_the_spacing_is_changed_and_the_noise_is_not():
    assert SCHEDULE.spaced("scheduler") is SCHEDULE
    other = SCHEDULE.spaced("trailing")
    assert other.timestep_spacing == "trailing"
    assert other.alphas_cumprod is SCHEDULE.alphas_cumprod


def test_pure_noise_needs_the_whole_reverse_process():
    noise = torch.zeros(1, 4, 8, 8)
    with pytest.raises(InvalidInputError, match="t0 must be 1, got 0.5"):
        reverse_from_start(
            predict_for_one_image, None, noise, SCHEDULE, t0=0.5, num_inference_steps=50
        )


def test_outside_of_a_region_each_step_is_at_its_own_noise_level_and_the_end_is_clean():
    start = torch.full_like(IMAGE, 2.0)
    noise = randn_per_image(start, generators_of([1]))
    region = torch.zeros(1, 1, *IMAGE.shape[-2:], dtype=torch.bool)
    region[..., :2] = True
    seen = []

    def predict(latents, t):
        seen.append((t, latents))
        return predict_for_one_image(latents, t)

    (*_, clean) = reverse_from_start(
        predict, start, noise, SCHEDULE, t0=0.5, num_inference_steps=10, region=region
    )
    assert len(seen) == 5
    for t, latents in seen:
        expected = SCHEDULE.add_noise(start, noise, t)
        torch.testing.assert_close(latents[..., 2:], expected[..., 2:])
    assert torch.equal(clean[..., 2:], start[..., 2:])
    (*_, whole) = reverse_from_start(
        predict_for_one_image, start, noise, SCHEDULE, t0=0.5, num_inference_steps=10
    )
    torch.testing.assert_close(clean[..., :2], whole[..., :2])


def test_timesteps_that_do_not_decrease_are_refused():
    steps = ddim_steps(predict_for_one_image, IMAGE, SCHEDULE, [10, 10])
    with pytest.raises(InvalidInputError, match="strictly decrease"):
        next(steps)


def test_as_many_seeds_as_images_are_needed():
    with pytest.raises(InvalidInputError, match="2 images need 2 seeds, got 1"):
        randn_per_image(torch.empty(2, 1, 1, 1), generators_of([1]))
