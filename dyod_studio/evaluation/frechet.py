"""The Frechet distance of two sets of features: FID where they are an Inception's.

Heusel et al., arXiv:1706.08500. Shapes: N pictures, D features.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dyod_studio.errors import InvalidInputError


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
