"""The distances against closed forms and against sums written out by hand."""

import pytest
import torch

from dyod_studio.errors import InvalidInputError
from dyod_studio.evaluation.distances import kid, polynomial_mmd2


def features(num: int, width: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num, width, generator=generator, dtype=torch.float64) + shift


def test_the_discrepancy_is_the_sum_of_its_definition_written_out():
    first, second = features(4, 3, 0), features(5, 3, 1)

    def kernel(x: torch.Tensor, y: torch.Tensor) -> float:
        return float((x @ y / 3 + 1) ** 3)

    own = sum(kernel(first[i], first[j]) for i in range(4) for j in range(4) if i != j) / 12
    other = sum(kernel(second[i], second[j]) for i in range(5) for j in range(5) if i != j) / 20
    cross = sum(kernel(x, y) for x in first for y in second) / 20
    assert float(polynomial_mmd2(first, second)) == pytest.approx(own + other - 2 * cross)


def test_kid_of_a_set_and_its_own_half_is_zero_within_its_deviation():
    both = features(400, 16, 2)
    found = kid(both[:200], both[200:])
    assert abs(found.mean) < 2 * found.std


def test_kid_grows_with_the_distance_of_the_means():
    near, far = (kid(features(200, 16, 3), features(200, 16, 4, shift)) for shift in (0.3, 0.9))
    assert 0 < near.mean < far.mean


def test_kid_of_shifted_gaussians_agrees_with_the_kernels_expectation():
    """E k over x ~ N(0, I), y ~ N(m, I) in closed form: moments of the Gaussian product x.y."""
    width, shift = 8, 0.5
    norm2 = width * shift**2

    def expected(mean_dot: float, variance: float, third: float) -> float:
        a, b = mean_dot / width, variance / width**2
        return a**3 + 3 * a * b + third / width**3 + 3 * (b + a**2) + 3 * a + 1

    zero_zero = expected(0, width, 0)
    zero_far = expected(0, width + norm2, 0)
    far_far = expected(norm2, width + 2 * norm2, 6 * norm2)
    truth = 100 * (zero_zero + far_far - 2 * zero_far)
    found = kid(
        features(4000, width, 5),
        features(4000, width, 6, shift),
        subset_size=2000,
        num_subsets=4,
    )
    assert found.mean == pytest.approx(truth, rel=0.1)


def test_the_same_seed_gives_the_same_figure():
    first, second = features(50, 8, 7), features(60, 8, 8)
    assert kid(first, second, seed=1) == kid(first, second, seed=1)


def test_sets_that_cannot_be_compared_are_named_in_one_sentence():
    with pytest.raises(InvalidInputError, match="at least 2 pictures"):
        kid(features(1, 4, 0), features(9, 4, 1))
    with pytest.raises(InvalidInputError, match="4 and 5 numbers"):
        kid(features(9, 4, 0), features(9, 5, 1))
