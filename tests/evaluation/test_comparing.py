"""The difference of two KIDs to one set: its value, and how honest its error is."""

import pytest
import torch

from dyod_studio.errors import InvalidInputError
from dyod_studio.evaluation.compare import PairedDifference, kid_difference
from dyod_studio.evaluation.distances import polynomial_mmd2
from tests.evaluation.test_distances import features

WIDTH = 8


def test_the_difference_is_that_of_the_two_unbiased_distances():
    first, second, real = (
        features(20, WIDTH, 0),
        features(20, WIDTH, 1, 0.4),
        features(30, WIDTH, 2),
    )
    found = kid_difference(first, second, real, rounds=3)
    truth = polynomial_mmd2(second, real) - polynomial_mmd2(first, real)
    assert found.difference == pytest.approx(100 * float(truth))
    assert found == kid_difference(first, second, real, rounds=3)
    back = kid_difference(second, first, real, rounds=3)
    assert (back.difference, back.error) == pytest.approx((-found.difference, found.error))
    assert PairedDifference(6.0, 2.0).deviations == 3


def test_the_error_is_how_much_the_difference_varies_when_all_is_drawn_anew():
    """Seeds give both sides a part in common, as the same noise does to pictures."""
    found = []
    for again in range(120):
        shared = features(60, WIDTH, 10 + again)
        first = shared + 0.3 * features(60, WIDTH, 1000 + again, 1.0)
        second = shared + 0.3 * features(60, WIDTH, 2000 + again, 2.0)
        real = features(80, WIDTH, 3000 + again)
        found.append(kid_difference(first, second, real, rounds=60))
    truly = torch.tensor([one.difference for one in found]).std()
    told = torch.tensor([one.error for one in found]).mean()
    assert float(told / truly) == pytest.approx(1, abs=0.25)


def test_sides_of_different_size_and_too_few_pictures_are_refused():
    few, real = features(3, WIDTH, 0), features(9, WIDTH, 1)
    with pytest.raises(InvalidInputError, match="seed by seed: got 3 and 9"):
        kid_difference(few, real, real)
    with pytest.raises(InvalidInputError, match="at least 4 pictures, got 3"):
        kid_difference(few, few, real)
