"""Measured points on disk: a folder each, that is there whole or not at all.

``points/03/point.json`` beside the pictures it names. No torch here: the page reads them.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from dyod_studio.disk import flush, put_in_place, write_beside_and_rename
from dyod_studio.errors import InvalidInputError

Better = Literal["lower", "higher", "neither"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure: how it is called, what it tells, and which way is better."""

    name: str
    title: str
    tells: str
    better: Better


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            "kid", "KID x100",
            "How far all pictures together are from your set; 0 is as alike as two halves of "
            "the set.", "lower",
        ),
        Metric(
            "fid", "FID",
            "The same with another yardstick, which needs more pictures than the extractor has "
            "numbers.", "lower",
        ),
        Metric("cmmd", "CMMD x1000", "The same, by a smoother comparison.", "lower"),
        Metric(
            "is", "Inception Score",
            "Whether each picture is clearly of one sort and all sorts occur.", "higher",
        ),
        Metric("precision", "Precision", "Share of the pictures that could be of the set.",
               "higher"),
        Metric("recall", "Recall", "Share of the set that the pictures could stand for.",
               "higher"),
        Metric("clip_i", "CLIP-I", "How alike a new picture and one of the set are, on average.",
               "higher"),
        Metric("clip_t", "CLIP-T", "How well the pictures meet the text.", "higher"),
        Metric("dino", "DINO", "How alike a new picture and one of the set are in detail.",
               "higher"),
        Metric("diversity", "Diversity", "How different the pictures are from each other.",
               "neither"),
        Metric("copies", "Copies", "Share of the pictures that repeat one of the set.", "lower"),
    )
}  # fmt: skip
"""Every figure by its short name, in the order in which they are shown."""

DISTANCES = ("kid", "cmmd", "fid")
"""Distances that a t0 is chosen by: the first of these that was measured."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number; ``std`` where it was measured on random subsets."""

    value: float
    std: float | None = None


Figures = dict[str, Figure]
"""Short name -> figure, all of one extractor."""


def check_metrics(names: Iterable[str]) -> tuple[str, ...]:
    """The names in the order of the table, each once.

    Raises:
        InvalidInputError: one of them is unknown, or there is none.
    """
    chosen = list(names)
    for name in chosen:
        if name not in METRICS:
            raise InvalidInputError(
                f"There is no figure {name!r}: choose among {', '.join(METRICS)}."
            )
    if not chosen:
        raise InvalidInputError(f"Choose at least one figure among {', '.join(METRICS)}.")
    return tuple(name for name in METRICS if name in chosen)


POINT_FILE = "point.json"
ERRORS_FILE = "errors.json"
"""How sure the differences between points are."""
FEATURES_FILE = "features.safetensors"
"""Features of the pictures by each extractor, so that two points can be compared seed by seed."""


@dataclass(frozen=True, slots=True)
class ExampleImage:
    """A picture that is worth a look.

    Args:
        score: mean likeness to its nearest of the set, in [-1, 1].
        nearest: name of the picture of the set that it is most like.
    """

    file: str
    seed: int
    score: float
    nearest: str
    nearest_id: int | None = None


@dataclass(frozen=True, slots=True)
class PointResult:
    """Figures of one point.

    Args:
        key: of the set, the seeds and the settings; another key is another point.
        figures: by the extractor's name.
        calls: of the denoiser, a picture. seconds: a picture.
        notes: about extractors and numbers of pictures.
    """

    key: str
    name: str
    role: str
    value: float | None
    settings: Mapping[str, Any]
    num: int
    num_real: int
    calls: int
    seconds: float
    figures: Mapping[str, Figures]
    strip: tuple[str, ...] = ()
    best: tuple[ExampleImage, ...] = ()
    worst: tuple[ExampleImage, ...] = ()
    copies: tuple[ExampleImage, ...] = ()
    notes: tuple[str, ...] = ()
    folder: Path = field(default=Path(), compare=False)

    def figure(self, metric: str) -> Figure | None:
        """The figure of the first extractor that measured it."""
        found = (figures.get(metric) for figures in self.figures.values())
        return next((figure for figure in found if figure is not None), None)

    def to_dict(self) -> dict[str, Any]:
        values = asdict(self)
        del values["folder"]
        return values


def points_dir(run_dir: Path) -> Path:
    return run_dir / "points"


def point_dir(run_dir: Path, index: int) -> Path:
    return points_dir(run_dir) / f"{index:02d}"


def begin_point(run_dir: Path, index: int) -> Path:
    """An empty folder for the pictures of a point that is being measured."""
    folder = points_dir(run_dir) / f"{index:02d}.partial"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def finish_point(run_dir: Path, index: int, result: PointResult) -> None:
    """Put a measured point in its place, with no other pictures than those it names."""
    partial = points_dir(run_dir) / f"{index:02d}.partial"
    shown = {*result.strip, *(s.file for s in (*result.best, *result.worst, *result.copies))}
    shown.add(FEATURES_FILE)
    for path in partial.iterdir():
        if path.name not in shown:
            path.unlink()
    (partial / POINT_FILE).write_text(json.dumps(result.to_dict(), indent=1), encoding="utf-8")
    target = point_dir(run_dir, index)
    flush(partial)
    shutil.rmtree(target, ignore_errors=True)
    put_in_place(partial, target)


def write_errors(run_dir: Path, errors: Mapping[str, float]) -> None:
    """Keep the standard errors of the points' differences in KID from the best, by their names."""
    with write_beside_and_rename(points_dir(run_dir) / ERRORS_FILE) as partial:
        partial.write_text(json.dumps(errors, indent=1), encoding="utf-8")


def read_errors(run_dir: Path) -> dict[str, float]:
    """Errors that :func:`write_errors` kept; empty before all points are measured."""
    path = points_dir(run_dir) / ERRORS_FILE
    found: dict[str, float] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found


def read_point(folder: Path) -> PointResult | None:
    """The point of a finished folder; None where there is none."""
    path = folder / POINT_FILE
    if not path.is_file():
        return None
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    figures = {
        extractor: {name: Figure(**figure) for name, figure in found.items()}
        for extractor, found in values.pop("figures").items()
    }
    for name in ("best", "worst", "copies"):
        values[name] = tuple(ExampleImage(**example) for example in values[name])
    for name in ("strip", "notes"):
        values[name] = tuple(values[name])
    return PointResult(**values, figures=figures, folder=folder)


def read_points(run_dir: Path) -> list[PointResult]:
    """Every finished point, in the order of the plan."""
    folders = finished_points(points_dir(run_dir))
    return [point for point in map(read_point, folders) if point is not None]


def finished_points(points: Path) -> list[Path]:
    """The folders of the measured points, in the order of the plan."""
    return sorted(points.glob("[0-9][0-9]"))
