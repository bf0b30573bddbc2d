"""Which of many pictures are worth a look: the closest to the set, the strangest, the copies.

Pictures come a chunk at a time; those that nobody will look at leave the disk again.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from dyod_studio.evaluation.features import Source
from dyod_studio.evaluation.plan import STRIP
from dyod_studio.evaluation.results import ExampleImage
from dyod_studio.evaluation.scores import closeness, nearest_of

NUM_EXTREMES = 4
NUM_COPIES = 8
LIKENESS_PX = 32
SAME_PICTURE = 0.9
"""Correlation of the pixels from which two pictures are the same to the eye."""


class Showcase:
    """The pictures of one point, under ``folder``.

    Args:
        real: (M, D) features of the set. sources: its pictures, with their names and row ids.
    """

    def __init__(
        self,
        folder: Path,
        real: Tensor,
        sources: Sequence[Source],
        names: Sequence[str],
        ids: Sequence[int],
    ) -> None:
        self._folder, self._real, self._sources = folder, real, sources
        self._names, self._ids = names, ids
        self._ranked: list[ExampleImage] = []
        self.strip: list[str] = []
        self.copies: list[ExampleImage] = []
        self.num_copies = 0

    def add(self, images: Sequence[Image.Image], seeds: Sequence[int], features: Tensor) -> None:
        """Take in a chunk with its features, (N, D)."""
        scores, nearest = closeness(features, self._real), nearest_of(features, self._real)
        rows = zip(images, seeds, scores.tolist(), nearest.index, nearest.is_copy, strict=True)
        for image, seed, score, index, may_be_copy in rows:
            file, is_copy = f"{seed}.png", False
            if bool(may_be_copy):
                is_copy = likeness(image, self._sources[int(index)].open()) >= SAME_PICTURE
            self.num_copies += is_copy
            image.save(self._folder / file)
            shown = ExampleImage(file, seed, score, self._names[int(index)], self._ids[int(index)])
            self._ranked.append(shown)
            if len(self.strip) < STRIP:
                self.strip.append(file)
            if is_copy and len(self.copies) < NUM_COPIES:
                self.copies.append(shown)
        self._forget()

    @property
    def best(self) -> tuple[ExampleImage, ...]:
        """The closest to the set, the closest first."""
        return tuple(self._ranked[:NUM_EXTREMES])

    @property
    def worst(self) -> tuple[ExampleImage, ...]:
        """The strangest, the strangest first."""
        return tuple(self._ranked[::-1][:NUM_EXTREMES])

    def _forget(self) -> None:
        self._ranked.sort(key=lambda shown: -shown.score)
        if len(self._ranked) <= 2 * NUM_EXTREMES:
            return
        kept = {*self.strip, *(shown.file for shown in self.copies)}
        for shown in self._ranked[NUM_EXTREMES:-NUM_EXTREMES]:
            if shown.file not in kept:
                (self._folder / shown.file).unlink(missing_ok=True)
        self._ranked = [*self._ranked[:NUM_EXTREMES], *self._ranked[-NUM_EXTREMES:]]


def likeness(first: Image.Image, second: Image.Image) -> float:
    """Correlation of the pixels of two pictures, small and without their own mean, in [-1, 1]."""
    rows = []
    for image in (first, second):
        small = image.convert("RGB").resize((LIKENESS_PX, LIKENESS_PX), Image.Resampling.BOX)
        pixels = np.asarray(small, dtype=np.float64).ravel()
        rows.append(pixels - pixels.mean())
    length = float(np.linalg.norm(rows[0]) * np.linalg.norm(rows[1]))
    return float(rows[0] @ rows[1]) / length if length else 0.0
