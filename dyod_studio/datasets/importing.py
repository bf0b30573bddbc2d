"""Dropped-in files to pictures that are ready for a project: read, checked, compared, cropped."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dyod_studio.datasets.archives import ArchiveLimits
from dyod_studio.datasets.fingerprints import (
    DuplicateFinder,
    Earlier,
    Fingerprint,
    fingerprint,
)
from dyod_studio.datasets.images import (
    HEAD_BYTES,
    WHITE,
    Colour,
    Crop,
    ReadLimits,
    choose_crop,
    image_suffix,
    plain_ground,
    read_embedded_caption,
    read_image,
    thumbnail,
)
from dyod_studio.datasets.outcomes import DuplicateFile, FoundFile, Gathered, RejectedFile
from dyod_studio.datasets.sources import count_files, gather
from dyod_studio.errors import RejectedImageError
from dyod_studio.requests.cropping import CropMode

LOOKED_AT_PX = 512
"""Longest side of the copy that is judged: finer detail no base model is taught."""
STEEPEST = 99.8
"""Percentile of the steps between neighbours that counts: the edges, however few there are."""


def sharpness(image: Image.Image) -> float:
    """Return the steepest step between neighbouring pixels, in grey levels: 255 is black on white.

    A picture that was enlarged or is out of focus has no steep step anywhere.
    """
    grey = image.convert("L")
    grey.thumbnail((LOOKED_AT_PX, LOOKED_AT_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
    pixels = np.asarray(grey, np.int16)
    steps = (np.abs(np.diff(pixels, axis=axis)).ravel() for axis in (0, 1))
    return float(np.percentile(np.concatenate(list(steps)), STEEPEST))


NUM_READERS = 2
"""Threads that decode: more would hold more large pictures in memory at once."""

NUM_KEPT = 100
"""Pictures out of archives that stay on disk behind the reader, so that a caller can store them in
portions of up to this many."""

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class PreparedPicture:
    """A picture that can join a project.

    ``path`` holds the original file; one that came out of an archive stays there until
    ``NUM_KEPT`` more pictures have been asked for. ``suffix`` is that of its real format. Width,
    height and crop are in pixels of the upright original. ``repeats`` is the earlier picture that
    this one shows again, in another size or compression; of equal files only the first is yielded.
    ``caption`` is what a file beside it or the picture itself says that it shows, or empty.
    """

    name: str
    path: Path
    suffix: str
    sha256: str
    phash: str
    width: int
    height: int
    crop: Crop
    thumbnail: bytes
    sharpness: float
    ground: str
    caption: str = ""
    repeats: Earlier | None = None


Imported = PreparedPicture | RejectedFile | DuplicateFile


@dataclass(frozen=True, slots=True)
class _Inspected:
    suffix: str
    caption: str
    fingerprint: Fingerprint
    size: tuple[int, int]
    crop: Crop
    thumbnail: bytes
    sharpness: float
    ground: str


_Pending = tuple[FoundFile, Future[_Inspected]] | RejectedFile


def import_pictures(
    paths: Sequence[Path],
    work_dir: Path,
    known: Iterable[tuple[str, str, str]] = (),
    *,
    background: Colour = WHITE,
    crop_mode: CropMode = CropMode.AUTO,
    read_limits: ReadLimits | None = None,
    archive_limits: ArchiveLimits | None = None,
    on_progress: Progress | None = None,
) -> Iterator[Imported]:
    """Yield what became of every file below ``paths``, in order, a few pictures in memory at once.

    Args:
        work_dir: an existing folder for what archives hold; the caller deletes it afterwards.
        known: (name, sha256, phash) of the pictures the project already has.
        background: what shows through transparent places.
        crop_mode: what is learned of a picture that is no square.
        on_progress: called with (files done, about how many in all) after each file.
    """
    finder = DuplicateFinder(known)

    def inspect(found: FoundFile) -> _Inspected:
        return _inspect(found.path, background, crop_mode, read_limits)

    total = 0 if on_progress is None else count_files(paths)
    files = gather(paths, work_dir, archive_limits)
    kept: deque[Path] = deque()
    with ThreadPoolExecutor(NUM_READERS) as pool:
        for num_done, pending in enumerate(_read_ahead(files, pool, inspect), start=1):
            outcome = _conclude(pending, finder)
            _tidy(pending, outcome, kept)
            if on_progress is not None:
                on_progress(num_done, max(total, num_done))
            yield outcome


def _read_ahead(
    files: Iterator[Gathered],
    pool: ThreadPoolExecutor,
    inspect: Callable[[FoundFile], _Inspected],
) -> Iterator[_Pending]:
    """Keep the readers busy with the files to come, without running far ahead."""
    waiting: deque[_Pending] = deque()
    for item in files:
        if isinstance(item, FoundFile):
            waiting.append((item, pool.submit(inspect, item)))
        else:
            waiting.append(item)
        if len(waiting) > 2 * NUM_READERS:
            yield waiting.popleft()
    yield from waiting


def _tidy(pending: _Pending, outcome: Imported, kept: deque[Path]) -> None:
    """Delete unpacked files that nobody needs any more."""
    if isinstance(pending, RejectedFile) or not pending[0].is_temporary:
        return
    if isinstance(outcome, PreparedPicture):
        kept.append(pending[0].path)
    else:
        pending[0].path.unlink()
    if len(kept) > NUM_KEPT:
        kept.popleft().unlink()


def _inspect(
    path: Path, background: Colour, crop_mode: CropMode, limits: ReadLimits | None
) -> _Inspected:
    image = read_image(path, background=background, limits=limits)
    with path.open("rb") as file:
        suffix = image_suffix(file.read(HEAD_BYTES))
    ground = plain_ground(image)
    return _Inspected(
        suffix=suffix or path.suffix,
        caption=read_embedded_caption(path),
        fingerprint=fingerprint(path, image),
        size=image.size,
        crop=choose_crop(image, crop_mode, is_plain=bool(ground)),
        thumbnail=thumbnail(image),
        sharpness=sharpness(image),
        ground=ground,
    )


def _conclude(pending: _Pending, finder: DuplicateFinder) -> Imported:
    if isinstance(pending, RejectedFile):
        return pending
    found, future = pending
    try:
        seen = future.result()
    except RejectedImageError as exc:
        return RejectedFile(found.name, str(exc))
    earlier = finder.check(found.name, seen.fingerprint)
    if earlier and earlier.sha256 == seen.fingerprint.sha256:
        return DuplicateFile(found.name, earlier.name)
    return PreparedPicture(
        name=found.name,
        path=found.path,
        suffix=seen.suffix,
        sha256=seen.fingerprint.sha256,
        phash=seen.fingerprint.phash,
        width=seen.size[0],
        height=seen.size[1],
        crop=seen.crop,
        thumbnail=seen.thumbnail,
        sharpness=seen.sharpness,
        ground=seen.ground,
        caption=found.caption or seen.caption,
        repeats=earlier,
    )
