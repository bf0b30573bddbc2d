"""Points of an evaluation against each other, seed by seed."""

from dyod_studio.evaluation.comparing import Apart, kid_difference
from dyod_studio.evaluation.features import kept_features
from dyod_studio.evaluation.results import PointResult, points_dir
from dyod_studio.studio.evaluation.views import EvaluationView
from tools.reproduce.bench import Bench


def apart_from(
    bench: Bench, view: EvaluationView, best: PointResult, extractor: str
) -> dict[str, Apart]:
    """By how much KID x100 of every other point lies above that of ``best``, by its name."""
    real = kept_features(points_dir(bench.storage.run_dir(view.job.id)))[extractor]
    own = kept_features(best.folder)[extractor]
    return {
        point.name: kid_difference(own, kept_features(point.folder)[extractor], real)
        for point in view.points
        if point.name != best.name
    }
