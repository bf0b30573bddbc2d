"""Whether one set of made pictures is closer to the real set than another, and how sure that is.

Shapes: N made pictures a side, made from the same seeds, M pictures of the set, D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dyod_studio.errors import InvalidInputError
from dyod_studio.evaluation.distances import polynomial_kernel
from dyod_studio.evaluation.features import kept_features
from dyod_studio.evaluation.results import PointResult, points_dir, read_points, write_errors

ROUNDS = 200


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """KID x100 of the second less that of the first: above 0, the first is closer.

    Args:
        error: standard error of ``difference``.
    """

    difference: float
    error: float

    @property
    def deviations(self) -> float:
        """How many standard errors the first is closer by."""
        return self.difference / max(self.error, 1e-12)


def kid_difference(
    first: Tensor, second: Tensor, real: Tensor, *, rounds: int = ROUNDS, seed: int = 0
) -> PairedDifference:
    """The difference of two KIDs to one set, pair by pair, with its standard error.

    The error is the delete-half jackknife's: the deviation of the difference over random halves
    of the seeds, the same of both sides, and of the set (Shao and Wu, Annals of Statistics 17,
    1989; with half left out its factor is 1). What the set and the seeds add to both KIDs alike
    cancels, which the deviations of the two KIDs over their own subsets cannot know.

    Args:
        first, second: (N, D), row i of both made from the same seed. real: (M, D).

    Raises:
        InvalidInputError: the two sides differ in shape, or a half has fewer than 2 pictures.
    """
    if first.shape != second.shape:
        raise InvalidInputError(
            f"Pictures are compared seed by seed: got {len(first)} and {len(second)} of them."
        )
    num, size = len(first), len(first) // 2
    half_real = max(1, len(real) // 2)
    if size < 2:
        raise InvalidInputError(f"A comparison needs at least 4 pictures, got {num}.")
    sides = [(_within(rows), polynomial_kernel(rows, real)) for rows in (first, second)]
    generator = torch.Generator().manual_seed(seed)
    everything = torch.arange(num), torch.arange(len(real))
    found = []
    for _ in range(rounds):
        rows = torch.randperm(num, generator=generator)[:size]
        columns = torch.randperm(len(real), generator=generator)[:half_real]
        found.append(_difference(sides, rows, columns))
    values = torch.stack(found)
    return PairedDifference(
        100 * float(_difference(sides, *everything)), 100 * float(values.std(correction=0))
    )


def _within(rows: Tensor) -> Tensor:
    """(N, N) kernel of the pictures among themselves, nothing of a picture with itself."""
    kernel = polynomial_kernel(rows, rows)
    return kernel - torch.diag(kernel.diagonal())


def _difference(sides: list[tuple[Tensor, Tensor]], rows: Tensor, columns: Tensor) -> Tensor:
    """KID of the second less that of the first; what the set has within itself cancels."""
    pairs = len(rows) * (len(rows) - 1)
    first, second = (
        within[rows][:, rows].sum() / pairs - 2 * across[rows][:, columns].mean()
        for within, across in sides
    )
    return second - first


def paired_difference(
    best: PointResult, points: Sequence[PointResult], run_dir: Path, extractor: str
) -> dict[str, PairedDifference]:
    """By how much KID x100 of every other point lies above that of ``best``, by its name.

    Empty where the features of so many pictures were not kept, or where there are fewer than 4.
    """
    real, own = kept_features(points_dir(run_dir)), kept_features(best.folder)
    if extractor not in real or extractor not in own or len(own[extractor]) < 4:
        return {}
    return {
        point.name: kid_difference(
            own[extractor], kept_features(point.folder)[extractor], real[extractor]
        )
        for point in points
        if point.name != best.name
    }


def compare_points(run_dir: Path) -> None:
    """Keep how sure the differences from the best point of a sweep are, for the advice."""
    points = read_points(run_dir)
    swept = [point for point in points if point.role == "sweep" and point.figure("kid")]
    if not swept:
        return
    extractor = next(iter(swept[0].figures))
    best = min(swept, key=lambda point: point.figures[extractor]["kid"].value)
    apart = paired_difference(best, points, run_dir, extractor)
    write_errors(run_dir, {name: found.error for name, found in apart.items()})
