"""The figures of the retrieval of conditions, on vectors whose answer is known."""

import pytest
import torch
from torch.nn import functional

from tools.anl_retrieval import figures_of


def test_outputs_that_are_their_conditions_are_all_hits_without_spread():
    conditions = torch.eye(10, 16)
    row = figures_of("same", conditions, conditions[:, None].expand(-1, 3, -1))
    assert (row.hits, row.top5, row.rate_of_all) == (10, 10, 1.0)
    assert row.own == pytest.approx(1)
    assert row.other == pytest.approx(0)
    assert row.spread == pytest.approx(0, abs=1e-6)


def test_outputs_of_the_next_condition_are_no_hits_and_unlike_ones_have_spread():
    conditions = torch.eye(10, 16)
    first = conditions.roll(1, dims=0)
    made = torch.stack([first, functional.normalize(torch.ones(10, 16), dim=-1)], dim=1)
    row = figures_of("next", conditions, made)
    assert row.hits == 0
    assert row.rate_of_all == pytest.approx(1 / 20)  # all alike: the first condition's, by chance
    assert row.spread == pytest.approx(0.75)
