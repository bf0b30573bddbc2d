"""The pictures of a run: prepared once, kept on disk, read through a memory map.

N pictures, R pixels along one side, C x h x w latents.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dyod_studio.datasets.images import Crop, prepare, read_image
from dyod_studio.disk import write_beside_and_rename
from dyod_studio.errors import InvalidInputError
from dyod_studio.models.base import BaseModel, from_pixels, to_tensor
from dyod_studio.training.checkpoints import translate_full_disk
from dyod_studio.training.run import PicturesPrepared

ENCODE_BATCH = 8
ENCODED_PX = ENCODE_BATCH * 256 * 256
"""Pictures encoded at once, and their pixels: the autoencoder's memory is the limit."""

LEFT_FOR_S = 24 * 3600

Cached = NDArray[np.float32] | NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TrainingPicture:
    """One picture on disk, the square of it that is used, and what it shows, in words or empty."""

    path: Path
    crop: Crop
    sha256: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The user's set and the folder that keeps what was computed from it."""

    pictures: Sequence[TrainingPicture]
    cache_dir: Path

    def __post_init__(self) -> None:
        if not self.pictures:
            raise InvalidInputError("This project has no pictures yet: add some first.")

    def prepare_latents(self, base: BaseModel) -> Generator[PicturesPrepared, None, Cached]:
        """Encode every picture once; returns (N, C, h, w) float32 on disk."""
        path = self._cache_path(f"latents {base.fingerprint} {base.resolution}")

        def encode(images: list[Image.Image]) -> Cached:
            return base.encode_images(to_tensor(images)).cpu().numpy()

        shape = (len(self.pictures), *base.latent_shape)
        empty = partial(open_memmap, dtype=np.float32, shape=shape)
        return self._cached(path, base.resolution, empty, encode)

    def prepare_pixels(self, side: int) -> Generator[PicturesPrepared, None, Cached]:
        """Crop and resize every picture once; returns (N, side, side, 3) uint8 on disk."""
        path = self._cache_path(f"pixels {side}")

        def stack(images: list[Image.Image]) -> Cached:
            return np.stack([np.asarray(image) for image in images])

        empty = partial(open_memmap, dtype=np.uint8, shape=(len(self.pictures), side, side, 3))
        return self._cached(path, side, empty, stack)

    def _cached(
        self,
        path: Path,
        side: int,
        open_empty: Callable[..., Cached],
        convert: Callable[[list[Image.Image]], Cached],
    ) -> Generator[PicturesPrepared, None, Cached]:
        chunks = ((first, convert(images)) for first, images in self._prepared(side))
        return cached_rows(path, len(self.pictures), open_empty, chunks)

    def _prepared(self, side: int) -> Iterator[tuple[int, list[Image.Image]]]:
        size = max(1, min(ENCODE_BATCH, ENCODED_PX // side**2))
        for first in range(0, len(self.pictures), size):
            batch = self.pictures[first : first + size]
            yield first, [prepare(read_image(p.path), p.crop, side) for p in batch]

    def _cache_path(self, use: str) -> Path:
        rows = [[p.sha256, asdict(p.crop)] for p in self.pictures]
        key = hashlib.sha256(json.dumps([use, rows], sort_keys=True).encode()).hexdigest()
        return self.cache_dir / f"{key[:32]}.npy"


def cached_rows(
    path: Path,
    total: int,
    open_empty: Callable[..., Cached],
    chunks: Iterator[tuple[int, Cached]],
    what: str = "pictures",
) -> Generator[PicturesPrepared, None, Cached]:
    """Rows that are computed once and kept on disk, complete or not there at all.

    Args:
        open_empty: opens a memory map for all ``total`` rows at the path it is given.
        chunks: (first row, rows); drawn from only when the file is not there yet.
        what: the rows, in a word for the log.
    """
    if not path.exists():
        _remove_leftovers(path)
        with write_beside_and_rename(path) as unfinished:
            with translate_full_disk(path.parent):
                rows = open_empty(unfinished, mode="w+")
                _allocate(unfinished)
            for first, values in chunks:
                rows[first : first + len(values)] = values
                yield PicturesPrepared(first + len(values), total, what)
            del rows
    return open_memmap(path, mode="r")


def returned(prepared: Generator[PicturesPrepared, None, Cached]) -> Cached:
    """The rows, where nobody watches how they are prepared."""
    while True:
        try:
            next(prepared)
        except StopIteration as end:
            rows: Cached = end.value
            return rows


def _remove_leftovers(path: Path) -> None:
    """Remove a killed process's files; one that is at work has touched its own within a day."""
    for leftover in path.parent.glob(f"*{path.stem}.*.partial"):
        with suppress(FileNotFoundError):  # it was finished in this moment
            if time.time() - leftover.stat().st_mtime > LEFT_FOR_S:
                leftover.unlink()


def _allocate(path: Path) -> None:
    """Take the room now: a memory map that meets a full disk later ends the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def rows_at(cached: Cached, indices: Sequence[int]) -> Tensor:
    """Chosen rows as a float tensor: latents as they are, pixels as (B, 3, H, W) in [-1, 1]."""
    rows = torch.from_numpy(np.ascontiguousarray(cached[list(indices)]))
    return from_pixels(rows) if rows.dtype == torch.uint8 else rows


def batch_indices(num_pictures: int, batch_size: int, seed: int, step: int) -> list[int]:
    """Which pictures step ``step`` (from 1) sees: epochs of seeded shuffles, laid end to end.

    A function of its arguments alone, so a resumed run sees what the uninterrupted one saw.
    """
    first = (step - 1) * batch_size
    places = [divmod(place, num_pictures) for place in range(first, first + batch_size)]
    return [_shuffle(num_pictures, seed, epoch)[place] for epoch, place in places]


def shares(batch_size: int, num_parts: int) -> list[slice]:
    """The batch in at most ``num_parts`` slices, one after the other, as equal as they can be."""
    size = -(-batch_size // num_parts)
    return [slice(first, first + size) for first in range(0, batch_size, size)]


def step_generator(seed: int, step: int) -> torch.Generator:
    """The random generator of one step, a function of seed and step alone."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step * 7_919) % 2**63)


@lru_cache(maxsize=4)
def _shuffle(num_pictures: int, seed: int, epoch: int) -> list[int]:
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch + 1) % 2**63)
    return torch.randperm(num_pictures, generator=generator).tolist()
