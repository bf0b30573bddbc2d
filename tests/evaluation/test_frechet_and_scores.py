"""Frechet distance, scores and copies against closed forms and against a kept library."""

import math

import pytest
import torch
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from dyod_studio.errors import InvalidInputError
from dyod_studio.evaluation.distances import Moments, frechet_distance, kid, moments_of
from dyod_studio.evaluation.measure import subset_size
from dyod_studio.evaluation.scores import (
    cmmd,
    diversity,
    inception_score,
    kinds_of,
    mean_similarity,
    nearest_of,
    precision_recall,
    sorts,
)


def features(num: int, width: int, seed: int, shift: float = 0.0, scale: float = 1.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num, width, generator=generator, dtype=torch.float64) * scale + shift


class Flat(torch.nn.Module):
    """The pictures' own numbers as their features, so that a library sees what we see."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)


def as_images(rows: torch.Tensor) -> torch.Tensor:
    return rows.float().reshape(len(rows), 3, 2, 2)


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Two sets of 80 and 60 pictures with 12 features each."""
    return features(80, 12, 1).abs(), features(60, 12, 2, shift=0.4, scale=1.3).abs()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_kid_fid_and_inception_score_agree_with_torchmetrics(pair):
    made, real = pair
    library = FrechetInceptionDistance(feature=Flat(12), normalize=True, input_img_size=(3, 2, 2))
    library = library.set_dtype(torch.float64)
    library.update(as_images(real), real=True)
    library.update(as_images(made), real=False)
    ours = frechet_distance(moments_of(as_images(real).flatten(1)), moments_of(made.float()))
    assert ours == pytest.approx(float(library.compute()), rel=1e-3)

    whole = KernelInceptionDistance(feature=Flat(12), subsets=3, subset_size=60, normalize=True)
    whole.update(as_images(real), real=True)
    whole.update(as_images(made[:60]), real=False)
    mean, _ = whole.compute()
    found = kid(made[:60], real, subset_size=60, num_subsets=3)
    assert found.mean / 100 == pytest.approx(float(mean), rel=1e-3)

    logits = features(60, 12, 3)
    score = InceptionScore(feature=Flat(12), splits=1)
    score.update(as_images(logits))
    mean, _ = score.compute()
    ours, _ = inception_score(logits.float().softmax(dim=1), num_splits=1)
    assert ours == pytest.approx(float(mean), rel=1e-3)


def test_the_frechet_distance_of_gaussians_is_the_closed_form():
    """Diagonal Gaussians: |m1 - m2|^2 + sum (s1 - s2)^2."""
    first, second = Moments.empty(3), Moments.empty(3)
    first.count, first.mean = 11, torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64)
    first.scatter = 10 * torch.diag(torch.tensor([4.0, 1.0, 9.0], dtype=torch.float64))
    second.count, second.mean = 11, torch.zeros(3, dtype=torch.float64)
    second.scatter = 10 * torch.diag(torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))
    assert frechet_distance(first, second) == pytest.approx(5 + 1 + 0 + 9, rel=1e-9)
    drawn = moments_of(features(40_000, 2, 5, shift=1.0, scale=2.0))
    assert frechet_distance(drawn, moments_of(features(40_000, 2, 6))) == pytest.approx(4, rel=0.03)


def test_moments_of_chunks_are_those_of_the_whole(pair):
    made, _ = pair
    joined = Moments.empty(12)
    for chunk in made.split(7):
        joined.add(chunk)
    whole = moments_of(made)
    torch.testing.assert_close(joined.covariance, torch.cov(made.T))
    torch.testing.assert_close(joined.mean, whole.mean)


def test_a_set_has_no_distance_to_itself_nor_its_halves_to_each_other():
    rows = features(200, 16, 7)
    assert frechet_distance(moments_of(rows), moments_of(rows)) == pytest.approx(0, abs=1e-6)
    assert cmmd(rows, rows) == pytest.approx(0, abs=1e-9)
    halves = kid(rows[:100], rows[100:], subset_size=subset_size(100, 100))
    assert halves.std > 0
    assert abs(halves.mean) < halves.std


def test_cmmd_is_the_sum_of_its_definition_written_out():
    first, second = features(4, 3, 0), features(5, 3, 1)

    def kernel(x: torch.Tensor, y: torch.Tensor) -> float:
        return math.exp(-float((x / x.norm() - y / y.norm()).square().sum()) / 200)

    def mean(left: torch.Tensor, right: torch.Tensor) -> float:
        return sum(kernel(x, y) for x in left for y in right) / (len(left) * len(right))

    expected = 1000 * (mean(first, first) + mean(second, second) - 2 * mean(first, second))
    assert cmmd(first, second) == pytest.approx(expected, rel=1e-9)


def test_precision_falls_with_strangers_and_recall_with_what_is_missing():
    real = torch.cat([features(30, 4, 1), features(30, 4, 2, shift=50)])
    half = features(30, 4, 3)
    assert precision_recall(real, real) == (1.0, 1.0)
    precision, recall = precision_recall(half, real)
    assert precision > 0.8
    assert 0.3 < recall <= 0.5
    assert precision_recall(half + 500, real) == (0.0, 0.0)
    with pytest.raises(InvalidInputError, match="more than 3 pictures in each set, got 2"):
        precision_recall(real, half[:2])


def test_likeness_and_variety_are_means_over_pairs():
    rows = torch.eye(4, dtype=torch.float64)
    assert diversity(rows) == pytest.approx(1.0)
    assert diversity(rows[:1].repeat(5, 1)) == pytest.approx(0.0)
    assert mean_similarity(rows[:2], rows[:1] * 7) == pytest.approx(0.5)
    with pytest.raises(InvalidInputError, match="at least 2 pictures, got 1"):
        diversity(rows[:1])


def test_a_picture_that_repeats_one_of_the_set_is_found_and_named():
    real = features(40, 48, 1)
    made = torch.cat([features(20, 48, 2), real[[11]] * 1.5, real[[3]] + 0.01])
    found = nearest_of(made, real)
    assert found.index[-2:].tolist() == [11, 3]
    assert found.is_copy.tolist() == [False] * 20 + [True, True]
    twins = real[:1].repeat(6, 1)
    assert not nearest_of(twins, twins).is_copy.any()
    assert not nearest_of(made, real[:1]).is_copy.any()


def test_the_inception_score_counts_the_sorts_that_are_clearly_told_apart():
    certain = torch.eye(5, dtype=torch.float64).repeat(20, 1)
    assert inception_score(certain, num_splits=1)[0] == pytest.approx(5)
    unsure = torch.full((100, 5), 0.2, dtype=torch.float64)
    assert inception_score(unsure)[0] == pytest.approx(1)
    clusters = torch.cat([features(20, 6, s, scale=0.05) + 3 * torch.eye(6)[s] for s in range(4)])
    middles = kinds_of(clusters)
    assert sorts(clusters, middles).argmax(dim=1).unique().numel() >= 4
    assert inception_score(sorts(clusters, middles), num_splits=1)[0] > 3


def test_unequal_sets_and_identical_pictures_have_finite_figures():
    few, many = features(9, 5, 1), features(300, 5, 2)
    assert math.isfinite(frechet_distance(moments_of(few), moments_of(many)))
    assert math.isfinite(kid(few, many, subset_size=subset_size(9, 300)).mean)
    same = few[:1].repeat(20, 1)
    assert frechet_distance(moments_of(same), moments_of(many)) > 0
    with pytest.raises(InvalidInputError, match="FID needs at least 2 pictures in each set, got 1"):
        frechet_distance(moments_of(few[:1]), moments_of(many))
