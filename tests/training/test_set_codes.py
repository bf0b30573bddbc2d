from dataclasses import replace

import pytest
import torch

from dyod_studio.models.artifacts import Artifact
from dyod_studio.models.initial_vae import SetCodes
from dyod_studio.training.set_codes import MOST_GAUSSIANS, NUM_SAMPLES, fit_set_codes


def two_heaps(number):
    """Posteriors of a set of two kinds, 8 apart in the first coordinate."""
    generator = torch.Generator().manual_seed(1)
    means = 0.2 * torch.randn(number, 3, generator=generator)
    means[: number // 4, 0] += 4
    means[number // 4 :, 0] -= 4
    return means, torch.full((number, 3), -3.0)


def test_the_mixture_is_where_the_codes_are():
    codes = fit_set_codes(*two_heaps(80))
    assert codes.weights.sum() == pytest.approx(1, abs=1e-5)
    assert codes.weights[codes.means[:, 0] > 0].sum() == pytest.approx(0.25, abs=0.01)
    assert (codes.means[:, 0].abs() - 4).abs().max() < 1
    assert codes.deviations.max() < 0.6
    assert torch.equal(codes.posterior_means, two_heaps(80)[0])


def test_the_same_posteriors_give_the_same_mixture():
    first, second = (fit_set_codes(*two_heaps(40)).tensors() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(("number", "gaussians"), [(1, 1), (9, 1), (25, 5), (400, MOST_GAUSSIANS)])
def test_a_gaussian_stands_for_several_pictures(number, gaussians):
    codes = fit_set_codes(torch.randn(number, 4), torch.zeros(number, 4))
    assert codes.means.shape == codes.deviations.shape == (gaussians, 4)
    assert torch.isfinite(codes.deviations).all()


def test_of_thousands_of_pictures_some_are_kept():
    codes = fit_set_codes(torch.randn(2 * NUM_SAMPLES + 1, 2), torch.zeros(2 * NUM_SAMPLES + 1, 2))
    assert NUM_SAMPLES / 2 < len(codes.posterior_means) <= NUM_SAMPLES


def test_codes_are_found_again_among_the_tensors_of_a_part():
    codes = fit_set_codes(*two_heaps(20))
    part = Artifact("vae", "starter", "", {}, {"captions": ["a"] * 20}, codes.tensors())
    found = SetCodes.find(part)
    assert found is not None
    assert torch.equal(found.means, codes.means)
    assert found.captions == ("a",) * 20
    assert SetCodes.find(replace(part, tensors={"kl": torch.zeros(3)})) is None
