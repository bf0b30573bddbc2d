"""Interpolations, strips along coordinates, and pictures near one, for the Explore screen."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dyod_studio.datasets.images import Crop, centre_crop, prepare, read_image
from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.requests.sampling import (
    AVERAGE,
    SEED_PREFIX,
    InterpolationRequest,
    PointRequest,
    SamplingRequest,
)
from dyod_studio.services.explore.frames import Frames
from dyod_studio.services.explore.prefetch import StripPrefetcher
from dyod_studio.services.explore.strips import Step, StripPlan, around, interpolation, key_of
from dyod_studio.services.explore.views import NUM_TRAITS
from dyod_studio.services.projects import Projects
from dyod_studio.services.sampling.dispatcher import OnProgress, RequestDispatcher
from dyod_studio.services.sampling.service import Sampling, check_pictures, complete
from dyod_studio.services.views import GenerationView, ProjectView
from dyod_studio.store.database import Session
from dyod_studio.store.files import PNG
from dyod_studio.store.projects import PictureRepository
from dyod_studio.store.records import Generation, Picture
from dyod_studio.store.requests import GenerationRepository
from dyod_studio.store.storage import Storage

R = TypeVar("R", bound=SamplingRequest)
SET_PREFIX, MADE_PREFIX = "set:", "made:"
MAX_CUT_PX = 2048
"""Side of a cut picture at most: far more than a base model draws."""


@dataclass(frozen=True, slots=True)
class Origin:
    """``label`` goes into the request's parameters, ``file`` beside it where there is one."""

    label: str
    file: Path | None = None

    @property
    def seed(self) -> int | None:
        """The seed that draws its code, where one does."""
        if not self.label.startswith(SEED_PREFIX):
            return None
        return int(self.label.removeprefix(SEED_PREFIX))


def find_origin(storage: Storage, project_id: int, vae_sha256: str, name: str, ref: str) -> Origin:
    """The origin that was told.

    Args:
        name: what it is, for the sentence when it cannot be found.

    Raises:
        InvalidInputError: it cannot be read, or is not the project's.
    """
    if ref == AVERAGE:
        return Origin(AVERAGE)
    with storage.database.session() as session:
        if ref.startswith(SEED_PREFIX):
            return Origin(f"{SEED_PREFIX}{_number(name, ref, SEED_PREFIX)}")
        if ref.startswith(SET_PREFIX):
            return _of_set(storage, session, project_id, _number(name, ref, SET_PREFIX))
        if ref.startswith(MADE_PREFIX):
            number = _number(name, ref, MADE_PREFIX)
            (row,) = GenerationRepository(session).of_ids(project_id, [number])
            return _of_made(storage, row, vae_sha256)
    path = Path(ref)
    check_pictures({name: path})
    with storage.files.guard():
        stored = storage.files.add_file(path, path.suffix.lower())
    return Origin(path.name, stored.path)


def _number(name: str, ref: str, prefix: str) -> int:
    text = ref.removeprefix(prefix)
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise InvalidInputError(f"{name} must be a number after {prefix!r}, got {ref!r}.")
    return int(text)


def _of_made(storage: Storage, row: Generation, vae_sha256: str) -> Origin:
    """A picture drawn from a seed's own code by this very shape model lies at that code."""
    drawn_by = dict(row.parameters.get("artifacts") or {}).get("vae")
    if row.kind == "distribution" and drawn_by == vae_sha256:
        return Origin(f"{SEED_PREFIX}{row.seed}")
    return Origin(f"picture {row.id}", storage.files.path(row.sha256, PNG))


def _of_set(storage: Storage, session: Session, project_id: int, picture_id: int) -> Origin:
    """A picture of the set, cut as it was for training."""
    row = PictureRepository(session).get(picture_id)
    if row.project_id != project_id:
        raise NotFoundError(f"This project has no picture {picture_id}.")
    original = storage.files.path(row.sha256, row.suffix)
    crop = Crop(row.crop_left, row.crop_top, row.crop_side)
    if crop == centre_crop((row.width, row.height)):
        return Origin(row.name, original)
    return Origin(row.name, _cut(storage, row, original, crop))


def _cut(storage: Storage, row: Picture, original: Path, crop: Crop) -> Path:
    image = prepare(read_image(original), crop, min(crop.side, MAX_CUT_PX))
    file = io.BytesIO()
    image.save(file, "PNG")
    with storage.files.guard():
        return storage.files.add_bytes(file.getvalue(), PNG).path


DEFAULT_SEED = 1
"""The noise of a strip that begins at no seed: always the same, so that it is drawn once."""


class Explore:
    """Plans strips and latent points; ``prefetcher`` draws them in the background."""

    def __init__(
        self,
        storage: Storage,
        projects: Projects,
        sampling: Sampling,
        dispatcher: RequestDispatcher,
    ) -> None:
        self._storage, self._projects, self._sampling = storage, projects, sampling
        self._dispatcher = dispatcher
        self._frames = Frames(storage)
        self.prefetcher = StripPrefetcher(storage, self._dispatcher)

    def interpolation(self, ref: int | str, request: InterpolationRequest) -> StripPlan:
        """The frames between two ends, ready to be drawn.

        Raises:
            InvalidInputError: an end cannot be used, both are the same, or a part is missing.
        """
        project, ready = self._completed(ref, request)
        a = self._origin(project.id, ready, "A", request.a)
        b = self._origin(project.id, ready, "B", request.b)
        if a == b:
            raise InvalidInputError("A and B are the same picture: choose another one for B.")
        seed = _seed(request, a)
        ready = ready.replace(seed=seed, a=a.label, b=b.label, inputs=_files(a=a, b=b))
        return interpolation(project.id, ready)

    def around(self, ref: int | str, request: PointRequest) -> StripPlan:
        """The point and a strip along each of the first traits, ready to be drawn."""
        num_traits = min(NUM_TRAITS, len(self._sampling.coordinates(ref)))
        project, ready = self._point(ref, request)
        return around(project.id, ready, num_traits)

    def point(self, ref: int | str, request: PointRequest) -> StripPlan:
        """The point alone, ready to be drawn."""
        project, ready = self._point(ref, request)
        what = tuple(ready.moved.items())
        key = key_of(ready, what)
        return StripPlan(project.id, ready, (Step(key, what),), (((0.0, key),),))

    def near(
        self,
        ref: int | str,
        request: PointRequest,
        on_progress: OnProgress | None = None,
        *,
        visitor: str | None = None,
    ) -> list[GenerationView]:
        """New pictures near one, each with a code and a noise of its own."""
        project, ready = self._completed(ref, request)
        origin = self._origin(project.id, ready, "origin", request.origin)
        ready = ready.replace(origin=origin.label, inputs=_files(origin=origin))
        with self._dispatcher.scope(visitor) as scope:
            return self._dispatcher.ask(project.id, ready, scope, on_progress)

    def keep(self, ref: int | str, key: str, *, is_favorite: bool = False) -> GenerationView:
        """Put a frame of a strip into the gallery."""
        return self._frames.keep(self._projects.get(ref).id, key, is_favorite=is_favorite)

    def _point(self, ref: int | str, request: PointRequest) -> tuple[ProjectView, PointRequest]:
        project, ready = self._completed(ref, request)
        count = len(self._sampling.coordinates(ref))
        if request.moved and max(request.moved) >= count:
            raise InvalidInputError(f"A trait lies in [0, {count - 1}], got {max(request.moved)}.")
        origin = self._origin(project.id, ready, "origin", request.origin)
        seed = _seed(request, origin)
        files = _files(origin=origin)
        return project, ready.replace(seed=seed, origin=origin.label, inputs=files)

    def _completed(self, ref: int | str, request: R) -> tuple[ProjectView, R]:
        """The project, and the request with its parts and base filled in."""
        project = self._projects.get(ref)
        with self._storage.database.session() as session:
            return project, complete(session, project, request)

    def _origin(self, project_id: int, request: SamplingRequest, name: str, ref: str) -> Origin:
        return find_origin(self._storage, project_id, request.artifacts["vae"], name, ref)


def _seed(request: SamplingRequest, origin: Origin) -> int:
    """The noise: what was asked for, or that of the origin, so that a picture begins as itself."""
    if request.seed is not None:
        return request.seed
    return DEFAULT_SEED if origin.seed is None else origin.seed


def _files(**origins: Origin) -> dict[str, Path]:
    return {name: origin.file for name, origin in origins.items() if origin.file is not None}
