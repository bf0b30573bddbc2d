"""How far two sets of pictures are from each other, in the space of some feature extractor.

Shapes: M and N pictures, D features. A figure means something only beside others of the same
extractor, so whoever shows one names the extractor with it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dyod_studio.errors import InvalidInputError

SUBSET_SIZE = 100
NUM_SUBSETS = 100


@dataclass(frozen=True, slots=True)
class Kid:
    """Kernel inception distance x100 over random subsets. 0 for equal distributions."""

    mean: float
    std: float
    subset_size: int


def polynomial_mmd2(first: Tensor, second: Tensor) -> Tensor:
    """Unbiased squared maximum mean discrepancy under k(x, y) = (x.y / D + 1)^3.

    Binkowski et al., arXiv:1801.01401, eq. (4); below zero at times, for it is unbiased.

    Args:
        first, second: (M, D) and (N, D), both with at least 2 rows.
    """
    size_first, size_second = len(first), len(second)
    within_first = polynomial_kernel(first, first)
    within_second = polynomial_kernel(second, second)
    own = (within_first.sum() - within_first.trace()) / (size_first * (size_first - 1))
    other = (within_second.sum() - within_second.trace()) / (size_second * (size_second - 1))
    return own + other - 2 * polynomial_kernel(first, second).mean()


def kid(
    first: Tensor,
    second: Tensor,
    *,
    subset_size: int = SUBSET_SIZE,
    num_subsets: int = NUM_SUBSETS,
    seed: int = 0,
) -> Kid:
    """KID x100 of two sets of features, (M, D) and (N, D), mean and deviation over subsets.

    Subsets are no larger than the smaller set; with few pictures they overlap, so the deviation
    then tells less than the truth.

    Raises:
        InvalidInputError: a set has fewer than 2 pictures, or the widths differ.
    """
    if first.shape[1:] != second.shape[1:]:
        raise InvalidInputError(
            f"Features of {first.shape[1]} and {second.shape[1]} numbers come from different "
            "extractors: compare figures of one extractor only."
        )
    size = min(subset_size, len(first), len(second))
    if size < 2:
        raise InvalidInputError(f"KID needs at least 2 pictures in each set, got {size}.")
    generator = torch.Generator().manual_seed(seed)
    first, second = first.double().cpu(), second.double().cpu()
    values = torch.stack(
        [
            polynomial_mmd2(_subset(first, size, generator), _subset(second, size, generator))
            for _ in range(num_subsets)
        ]
    )
    return Kid(float(values.mean()) * 100, float(values.std(correction=0)) * 100, size)


def polynomial_kernel(first: Tensor, second: Tensor) -> Tensor:
    """(M, N) values of k(x, y) = (x.y / D + 1)^3, in double precision."""
    first, second = first.double().cpu(), second.double().cpu()
    return (first @ second.T / first.shape[1] + 1) ** 3


def _subset(features: Tensor, size: int, generator: torch.Generator) -> Tensor:
    return features[torch.randperm(len(features), generator=generator)[:size]]


@dataclass(slots=True)
class Moments:
    """Mean and covariance of features that come a chunk at a time, in double precision."""

    count: int
    mean: Tensor
    scatter: Tensor
    """(D, D): sum of the outer products of what lies around the mean."""

    @classmethod
    def empty(cls, width: int) -> "Moments":
        zeros = torch.zeros(width, width, dtype=torch.float64)
        return cls(0, torch.zeros(width, dtype=torch.float64), zeros)

    def add(self, features: Tensor) -> None:
        """Take in a chunk, (N, D): Chan's rule for joining two sets' moments."""
        if not len(features):
            return
        features = features.double().cpu()
        mean = features.mean(dim=0)
        around = features - mean
        apart, total = mean - self.mean, self.count + len(features)
        weight = self.count * len(features) / total
        self.scatter += around.T @ around + weight * torch.outer(apart, apart)
        self.mean = self.mean + apart * (len(features) / total)
        self.count = total

    @property
    def covariance(self) -> Tensor:
        """(D, D), unbiased.

        Raises:
            InvalidInputError: fewer than 2 pictures have no covariance.
        """
        if self.count < 2:
            raise InvalidInputError(f"FID needs at least 2 pictures in each set, got {self.count}.")
        return self.scatter / (self.count - 1)


def moments_of(features: Tensor) -> Moments:
    """The moments of features that are all there, (N, D)."""
    moments = Moments.empty(features.shape[1])
    moments.add(features)
    return moments


def frechet_distance(first: Moments, second: Moments) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)).

    The trace of the root is that of the root of C1^(1/2) C2 C1^(1/2), which is symmetric, so that
    sets with fewer pictures than features need no regularisation.
    """
    root = _root(first.covariance)
    inner = root @ second.covariance @ root
    shared = torch.linalg.eigvalsh((inner + inner.T) / 2).clamp(min=0).sqrt().sum()
    apart = (first.mean - second.mean).square().sum()
    own = first.covariance.trace() + second.covariance.trace()
    return max(0.0, float(apart + own - 2 * shared))


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T
