"""What is measured: the names of the figures, in a designer's words and in the trade's.

No torch here: the page and the command line list them. A figure means something only beside
others of the same extractor, so it is kept under the extractor's name everywhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

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
"""What a t0 is chosen by: the first of these that was measured."""


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
    asked = list(names)
    for name in asked:
        if name not in METRICS:
            raise InvalidInputError(
                f"There is no figure {name!r}: choose among {', '.join(METRICS)}."
            )
    if not asked:
        raise InvalidInputError(f"Choose at least one figure among {', '.join(METRICS)}.")
    return tuple(name for name in METRICS if name in asked)
