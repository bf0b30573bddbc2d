"""Figures beside the distances: sorts, coverage, likeness, variety, copies.

Shapes: N made pictures, M pictures of the set, D features, K sorts. Rows of features may have any
length; what compares directions puts them on the unit sphere itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from dyod_studio.errors import InvalidInputError

PAIRS_AT_ONCE = 1 << 22
"""Pairs of pictures compared at once, to bound memory: 32 MB in double precision."""
CMMD_SIGMA = 10.0
NUM_NEIGHBOURS = 3
"""k of improved precision and recall."""
COPY_RATIO = 0.5
COPY_NEIGHBOURS = 5
MAX_KINDS = 10
KIND_TEMPERATURE = 0.07
KMEANS_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Nearest:
    """The picture of the set that is most like each made one.

    Args:
        index: (N,) rows of the set.
        distance: (N,) 1 - cosine.
        ratio: (N,) that distance by how far the found picture's own neighbours in the set are.
    """

    index: Tensor
    distance: Tensor
    ratio: Tensor

    @property
    def is_copy(self) -> Tensor:
        """(N,) whether a picture is nearer to its original than the set allows for by half.

        A suspicion only: in the eyes of a small extractor a blurred ball may be any round thing.
        """
        return self.ratio < COPY_RATIO


def cmmd(first: Tensor, second: Tensor, within_second: float | None = None) -> float:
    """CMMD x1000: Gaussian-kernel MMD^2 of features on the unit sphere, arXiv:2401.09603.

    The biased estimate, as its authors' own program computes it.

    Args:
        within_second: ``mean_kernel(second, second)`` where it is known already.
    """
    second_own = mean_kernel(second, second) if within_second is None else within_second
    return 1000 * (mean_kernel(first, first) + second_own - 2 * mean_kernel(first, second))


def mean_kernel(first: Tensor, second: Tensor) -> float:
    """Mean of the Gaussian kernel of CMMD over all pairs."""
    first, second = _unit(first), _unit(second)
    sums = [
        torch.exp((rows @ second.T - 1).clamp(max=0) / CMMD_SIGMA**2).sum()
        for rows in _chunks(first, second)
    ]
    return float(sum(sums)) / (len(first) * len(second))


def inception_score(probabilities: Tensor, num_splits: int = 10) -> tuple[float, float]:
    """exp E KL(p(y|x) || p(y)) over shares of the pictures: mean and deviation.

    Salimans et al., arXiv:1606.03498.

    Args:
        probabilities: (N, K), rows summing to 1.
    """
    scores = []
    for share in probabilities.double().chunk(min(num_splits, len(probabilities))):
        marginal = share.mean(dim=0, keepdim=True)
        divergence = (torch.special.xlogy(share, share) - torch.special.xlogy(share, marginal)).sum(
            dim=1
        )
        scores.append(divergence.mean().exp())
    values = torch.stack(scores)
    return float(values.mean()), float(values.std(correction=0))


def precision_recall(made: Tensor, real: Tensor, k: int = NUM_NEIGHBOURS) -> tuple[float, float]:
    """Improved precision and recall, arXiv:1904.06991, by Euclidean k-nearest neighbours.

    Raises:
        InvalidInputError: a set has no k neighbours for each picture.
    """
    smaller = min(len(made), len(real))
    if smaller <= k:
        raise InvalidInputError(
            f"Precision and recall look at {k} neighbours: they need more than {k} pictures in "
            f"each set, got {smaller}."
        )
    return _covered(made, real, k), _covered(real, made, k)


def mean_similarity(first: Tensor, second: Tensor) -> float:
    """Mean cosine of all pairs across the sets: CLIP-I, DINO, CLIP-T (arXiv:2208.12242)."""
    return float(_unit(first).mean(dim=0) @ _unit(second).mean(dim=0))


def diversity(features: Tensor) -> float:
    """Mean of 1 - cosine over all pairs of different pictures; 0 when all are alike.

    Raises:
        InvalidInputError: there are no two pictures.
    """
    num = len(features)
    if num < 2:
        raise InvalidInputError(f"Diversity needs at least 2 pictures, got {num}.")
    total = float(_unit(features).sum(dim=0).square().sum())
    return max(0.0, 1 - (total - num) / (num * (num - 1)))


def nearest_of(made: Tensor, real: Tensor) -> Nearest:
    """For each made picture the most alike of the set, and whether it repeats it.

    After the calibrated distance of arXiv:2301.13188, sec. 4.2: a copy is much nearer to its
    original than the original's neighbours in the set are.
    """
    made, real = _unit(made), _unit(real)
    similarity, index = _best(made, real, 1)
    distance = (1 - similarity[:, 0]).clamp(min=0)
    if len(real) < 2:
        return Nearest(index[:, 0], distance, torch.full_like(distance, torch.inf))
    originals, own = index[:, 0].unique(return_inverse=True)
    around, _ = _best(real[originals], real, min(COPY_NEIGHBOURS + 1, len(real)))
    spread = (1 - around[:, 1:]).clamp(min=0).mean(dim=1)[own]
    ratio = torch.where(spread > 0, distance / spread.clamp(min=1e-12), torch.inf)
    return Nearest(index[:, 0], distance, ratio)


def closeness(made: Tensor, real: Tensor) -> Tensor:
    """(N,) mean cosine of each made picture to its nearest few of the set: higher is closer."""
    similarity, _ = _best(_unit(made), _unit(real), min(NUM_NEIGHBOURS, len(real)))
    return similarity.mean(dim=1)


def kinds_of(real: Tensor, seed: int = 0) -> Tensor:
    """(K, D) middles of the sorts that a set falls into, by k-means on the unit sphere."""
    rows = _unit(real)
    number = max(1, min(MAX_KINDS, len(rows) // 5))
    generator = torch.Generator().manual_seed(seed)
    middles = rows[torch.randperm(len(rows), generator=generator)[:number]]
    for _ in range(KMEANS_ROUNDS):
        owner = (rows @ middles.T).argmax(dim=1)
        sums = torch.zeros_like(middles).index_add_(0, owner, rows)
        is_empty = sums.norm(dim=1, keepdim=True) == 0
        middles = torch.where(is_empty, middles, normalize(sums, dim=1))
    return middles


def sorts(features: Tensor, middles: Tensor) -> Tensor:
    """(N, K) probabilities that a picture is of each sort: a soft choice by likeness."""
    return (_unit(features) @ middles.T / KIND_TEMPERATURE).softmax(dim=1)


def _unit(features: Tensor) -> Tensor:
    return normalize(features.double().cpu(), dim=1)


def _chunks(rows: Tensor, others: Tensor) -> Iterator[Tensor]:
    """The rows, so many at a time as may be compared with all others at once."""
    yield from rows.split(max(1, PAIRS_AT_ONCE // len(others)))


def _covered(inside: Tensor, hull: Tensor, k: int) -> float:
    """Share of ``inside`` that lies within reach of any row of ``hull``."""
    inside, hull = inside.double().cpu(), hull.double().cpu()
    radius = torch.cat(
        [torch.cdist(rows, hull).kthvalue(k + 1, dim=1).values for rows in _chunks(hull, hull)]
    )
    hits = [(torch.cdist(rows, hull) <= radius).any(dim=1) for rows in _chunks(inside, hull)]
    return float(torch.cat(hits).double().mean())


def _best(rows: Tensor, among: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k greatest cosines of each row and where they stand, both (N, k)."""
    found = [(chunk @ among.T).topk(k, dim=1) for chunk in _chunks(rows, among)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])
