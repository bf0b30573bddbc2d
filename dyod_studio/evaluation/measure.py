"""All figures of one set of made pictures against the pictures of the set.

Shapes: N made pictures, M pictures of the set, D features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from dyod_studio.evaluation.distances import (
    NUM_SUBSETS,
    SUBSET_SIZE,
    Moments,
    frechet_distance,
    kid,
    moments_of,
)
from dyod_studio.evaluation.plan import check_numbers
from dyod_studio.evaluation.results import Figure, Figures
from dyod_studio.evaluation.scores import (
    cmmd,
    diversity,
    inception_score,
    kinds_of,
    mean_kernel,
    mean_similarity,
    precision_recall,
    sorts,
)
from dyod_studio.models.feature_extractors import FeatureExtractor

FEW_FOR_KID = 50


@dataclass(frozen=True)
class Reference:
    """The set, in the eyes of one extractor; what is computed of it is computed once."""

    extractor: FeatureExtractor
    features: Tensor
    text: str = ""
    """What the pictures should show, in words; empty for nothing in particular."""

    @cached_property
    def moments(self) -> Moments:
        return moments_of(self.features)

    @cached_property
    def own_kernel(self) -> float:
        return mean_kernel(self.features, self.features)

    @cached_property
    def kinds(self) -> Tensor:
        return kinds_of(self.features)

    @cached_property
    def text_features(self) -> Tensor | None:
        embed = self.extractor.embed_texts
        return embed([self.text]) if embed is not None and self.text else None


def measure(reference: Reference, made: Tensor, metrics: Sequence[str]) -> Figures:
    """Those of the figures that this extractor can tell, in the order of ``metrics``.

    Raises:
        InvalidInputError: one of the sets has too few pictures.
    """
    check_numbers(len(made), len(reference.features))
    known = [name for name in metrics if name in MEASURES]
    found = {name: MEASURES[name](reference, made) for name in known}
    return {name: figure for name, figure in found.items() if figure is not None}


def subset_size(num_first: int, num_second: int) -> int:
    """Pictures in each subset of KID: at most half of a set, or all subsets would be alike."""
    return max(2, min(SUBSET_SIZE, num_first // 2, num_second // 2))


def sample_note(num_made: int, num_real: int, width: int) -> str:
    """One or two sentences on what the numbers of pictures mean for the figures."""
    notes = []
    smaller = min(num_made, num_real)
    if smaller < FEW_FOR_KID:
        notes.append(
            f"With {smaller} pictures the figures tell great differences only; "
            f"{FEW_FOR_KID} or more of each are better."
        )
    if smaller <= width:
        notes.append(
            f"FID is too high with fewer pictures than the {width} numbers of this extractor; "
            "compare it only between equal numbers of pictures. KID does not depend on their "
            "number, but spreads more with few."
        )
    return " ".join(notes)


def _kid(reference: Reference, made: Tensor) -> Figure:
    found = kid(
        made,
        reference.features,
        subset_size=subset_size(len(made), len(reference.features)),
        num_subsets=NUM_SUBSETS,
    )
    return Figure(found.mean, found.std)


def _fid(reference: Reference, made: Tensor) -> Figure:
    return Figure(frechet_distance(reference.moments, moments_of(made)))


def _inception(reference: Reference, made: Tensor) -> Figure:
    """With the extractor's own classes, or with the sorts that the set falls into."""
    classify = reference.extractor.classify
    rows = sorts(made, reference.kinds) if classify is None else classify(made)
    return Figure(*inception_score(rows))


def _likeness(family: str) -> "Measure":
    def likeness(reference: Reference, made: Tensor) -> Figure | None:
        if reference.extractor.family != family:
            return None
        return Figure(mean_similarity(made, reference.features))

    return likeness


def _meets_text(reference: Reference, made: Tensor) -> Figure | None:
    text = reference.text_features
    return None if text is None else Figure(mean_similarity(made, text))


Measure = Callable[[Reference, Tensor], Figure | None]
"""None where the extractor cannot tell."""

MEASURES: dict[str, Measure] = {
    "kid": _kid,
    "fid": _fid,
    "cmmd": lambda reference, made: Figure(cmmd(made, reference.features, reference.own_kernel)),
    "is": _inception,
    "precision": lambda reference, made: Figure(precision_recall(made, reference.features)[0]),
    "recall": lambda reference, made: Figure(precision_recall(made, reference.features)[1]),
    "clip_i": _likeness("clip"),
    "clip_t": _meets_text,
    "dino": _likeness("dino"),
    "diversity": lambda reference, made: Figure(diversity(made)),
}
"""How each figure is measured that features alone can tell; copies are told by pixels as well."""
