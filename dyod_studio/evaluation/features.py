"""Features of many pictures, a few at a time, kept on disk by picture and extractor.

Shapes: N pictures, D features. Thirty thousand pictures stream: only their features stay.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dyod_studio.disk import write_beside_and_rename
from dyod_studio.errors import InvalidInputError
from dyod_studio.evaluation.results import FEATURES_FILE
from dyod_studio.models.feature_extractors import FeatureExtractor

AT_ONCE = 16
"""Pictures in memory at a time."""
MOST_KEPT = 5_000
"""A point with more pictures than that keeps none of their features: too many bytes."""


@dataclass(frozen=True, slots=True)
class Source:
    """A picture that can be opened when it is its turn.

    Args:
        name: says what the picture shows, crop and size included; the same name, the same pixels.
    """

    name: str
    open: Callable[[], Image.Image]

    @property
    def key(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()[:32]


class FeatureCache:
    """Features under ``root``, in one file for each extractor and first two digits of the key."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, extractor: str, shard: str) -> dict[str, Tensor]:
        """Key -> (D,) of everything that is kept there; a damaged file counts as empty."""
        path = self._path(extractor, shard)
        try:
            return load_file(path) if path.exists() else {}
        except (OSError, SafetensorError):
            return {}

    def write(self, extractor: str, shard: str, features: dict[str, Tensor]) -> None:
        """Put the file there whole, or not at all."""
        with write_beside_and_rename(self._path(extractor, shard)) as partial:
            save_file(features, partial)

    def _path(self, extractor: str, shard: str) -> Path:
        return self._root / "features" / extractor / f"{shard}.safetensors"


def features_of(
    sources: Sequence[Source],
    extractor: FeatureExtractor,
    cache: FeatureCache,
    on_progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """(N, D) features in the order of the sources; only those that are not kept are computed.

    Raises:
        InvalidInputError: there are no pictures.
    """
    if not sources:
        raise InvalidInputError("There are no pictures to measure.")
    found: dict[str, Tensor] = {}
    ordered = sorted({source.key: source for source in sources}.items())
    for shard, group in groupby(ordered, key=lambda entry: entry[0][:2]):
        group_sources = dict(group)
        kept = cache.read(extractor.key, shard)
        missing = [source for key, source in group_sources.items() if key not in kept]
        for chunk in _chunks(missing):
            rows = extractor.embed([source.open() for source in chunk])
            kept |= {source.key: row.clone() for source, row in zip(chunk, rows, strict=True)}
        if missing:
            cache.write(extractor.key, shard, kept)
        found |= {key: kept[key] for key in group_sources}
        if on_progress:
            on_progress(len(found), len(ordered))
    return torch.stack([found[source.key] for source in sources])


def keep_features(folder: Path, features: dict[str, Tensor]) -> None:
    """Put features, an extractor's name to (N, D), into a point's folder, or that of all points.

    A point's stand in the order of its seeds, the set's in the order of its pictures.
    """
    if all(len(rows) <= MOST_KEPT for rows in features.values()):
        folder.mkdir(parents=True, exist_ok=True)
        save_file(features, folder / FEATURES_FILE)


def kept_features(folder: Path) -> dict[str, Tensor]:
    """Features that ``keep_features`` put there; empty where it put nothing."""
    path = folder / FEATURES_FILE
    return load_file(path) if path.is_file() else {}


def _chunks(sources: Sequence[Source]) -> Iterator[Sequence[Source]]:
    for first in range(0, len(sources), AT_ONCE):
        yield sources[first : first + AT_ONCE]
