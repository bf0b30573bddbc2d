import pytest
import torch

from dyod_studio.diffusion.codes import (
    interpolate,
    interpolate_spherical,
    kl_per_coordinate,
    rank_coordinates,
    traverse,
)
from dyod_studio.diffusion.losses import (
    denoising_loss,
    min_snr_weights,
    negative_elbo,
    noise_error_weights,
)
from dyod_studio.diffusion.sampling import NoiseSchedule
from dyod_studio.errors import InvalidInputError

A, B = torch.randn(2, 16, generator=torch.Generator().manual_seed(3)).split(1)


@pytest.mark.parametrize("walk", [interpolate, interpolate_spherical])
def test_a_walk_begins_and_ends_at_its_ends(walk):
    frames = walk(A, B, 5)
    assert frames.shape == (5, 16)
    torch.testing.assert_close(frames[:1], A)
    torch.testing.assert_close(frames[-1:], B)


def test_linear_frames_are_evenly_spaced():
    gaps = interpolate(A, B, 7).diff(dim=0).norm(dim=1)
    torch.testing.assert_close(gaps, gaps.mean().expand(6))


def test_spherical_frames_keep_the_length_of_ends_of_equal_length():
    a, b = A / A.norm(), B / B.norm()
    lengths = interpolate_spherical(a, b, 9).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(9))
    assert interpolate(a, b, 9).norm(dim=1).min() < 0.95


def test_a_spherical_walk_between_equal_ends_stands_still():
    torch.testing.assert_close(interpolate_spherical(A, A.clone(), 4), A.expand(4, -1))


def test_a_traversal_moves_one_coordinate_and_no_other():
    frames = traverse(A[0], 5, span=3, num_frames=7)
    torch.testing.assert_close(frames[:, 5], torch.linspace(-3, 3, 7))
    others = [i for i in range(16) if i != 5]
    assert torch.equal(frames[:, others], A[0, others].expand(7, -1))


def test_a_coordinate_that_does_not_exist_is_named_with_the_range():
    with pytest.raises(InvalidInputError, match=r"coordinate must lie in \[0, 15\], got 16"):
        traverse(A[0], 16, span=3, num_frames=7)


def test_one_frame_is_no_walk():
    with pytest.raises(InvalidInputError, match="num_frames must be at least 2, got 1"):
        interpolate(A, B, 1)


def test_the_kl_of_each_coordinate_has_its_closed_form():
    mean, variance = torch.tensor([0.0, 1.5, 0.0]), torch.tensor([1.0, 1.0, 0.25])
    prior = torch.distributions.Normal(0.0, 1.0)
    posterior = torch.distributions.Normal(mean, variance.sqrt())
    expected = torch.distributions.kl_divergence(posterior, prior)
    measured = kl_per_coordinate(mean.expand(6, 3), variance.log().expand(6, 3))
    torch.testing.assert_close(measured, expected)
    assert measured[0] == 0
    assert rank_coordinates(measured) == [1, 2, 0]


def test_min_snr_weights_level_off_where_the_picture_is_nearly_clean():
    alphas = torch.tensor([0.999, 0.9, 0.5, 0.1])
    t = torch.arange(4)
    snr = alphas / (1 - alphas)
    epsilon = min_snr_weights(NoiseSchedule(alphas, "epsilon"), t, 5)
    velocity = min_snr_weights(NoiseSchedule(alphas, "v_prediction"), t, 5)
    torch.testing.assert_close(epsilon, torch.tensor([5 / snr[0], 5 / snr[1], 1, 1]))
    torch.testing.assert_close(velocity, torch.minimum(snr, torch.tensor(5.0)) / (snr + 1))


@pytest.mark.parametrize("predicts", ["epsilon", "v_prediction"])
def test_the_error_of_any_output_can_be_told_as_the_error_of_the_noise(predicts):
    schedule = NoiseSchedule(torch.tensor([0.999, 0.9, 0.5, 0.1]), predicts)
    generator = torch.Generator().manual_seed(0)
    clean, noise, output = torch.randn(3, 4, 2, 3, 3, generator=generator)
    t = torch.arange(4)
    noisy = schedule.add_noise(clean, noise, t)
    of_noise = denoising_loss(schedule.to_noise(output, noisy, t), noise)
    target = schedule.target(clean, noise, t)
    told = denoising_loss(output, target, noise_error_weights(schedule, t))
    torch.testing.assert_close(told, of_noise)
    whole = denoising_loss(output, target, noise_error_weights(schedule, t, clean=1))
    torch.testing.assert_close(whole, denoising_loss(output, target))


def test_the_denoising_loss_weighs_each_image():
    output = torch.stack([torch.ones(2, 3, 3), 2 * torch.ones(2, 3, 3)])
    target = torch.zeros_like(output)
    assert denoising_loss(output, target).item() == pytest.approx(2.5)
    weighted = denoising_loss(output, target, torch.tensor([1.0, 0.0]))
    assert weighted.item() == pytest.approx(0.5)


def test_the_elbo_trades_reconstruction_against_the_code_by_beta():
    target = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    informative = (torch.full((4, 2), 2.0), torch.full((4, 2), -4.0))
    silent = (torch.zeros(4, 2), torch.zeros(4, 2))
    near, far = target + 0.1, target + 0.5
    assert negative_elbo(near, target, *silent, beta=1) < negative_elbo(
        far, target, *silent, beta=1
    )
    gentle = negative_elbo(near, target, *informative, beta=1)
    strict = negative_elbo(near, target, *informative, beta=4)
    kl = kl_per_coordinate(*informative).sum()
    assert (strict - gentle).item() == pytest.approx(3 * kl.item() / target[0].numel(), rel=1e-4)
