"""Points of an evaluation against each other, seed by seed."""

from collections.abc import Sequence
from pathlib import Path

from dyod_studio.evaluation.comparing import Apart, kid_difference
from dyod_studio.evaluation.features import kept_features
from dyod_studio.evaluation.results import PointResult, points_dir, read_points, write_errors


def apart_from(
    best: PointResult, points: Sequence[PointResult], run_dir: Path, extractor: str
) -> dict[str, Apart]:
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
    apart = apart_from(best, points, run_dir, extractor)
    write_errors(run_dir, {name: found.error for name, found in apart.items()})
