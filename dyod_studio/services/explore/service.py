"""What the Explore screen draws beside new pictures: ways between two, and what lies near one."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from sqlalchemy.orm import Session

from dyod_studio.datasets.preparing import Crop, centre_crop
from dyod_studio.datasets.reading import read_image
from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.requests.sampling import (
    AVERAGE,
    DEFAULT_T0,
    SEED_PREFIX,
    Denoising,
    InterpolationSettings,
)
from dyod_studio.services.explore.frames import Frames
from dyod_studio.services.explore.prefetch import StripPrefetcher
from dyod_studio.services.explore.strips import Step, StripPlan, around, interpolation, key_of
from dyod_studio.services.explore.views import NUM_TRAITS, NearSettings, PlaceSettings
from dyod_studio.services.parts import choose_parts
from dyod_studio.services.projects import Projects
from dyod_studio.services.sampling.dispatcher import (
    Asked,
    OnProgress,
    RequestDispatcher,
    RunRequest,
)
from dyod_studio.services.sampling.service import Sampling, check_pictures, common_parameters
from dyod_studio.services.views import GenerationView
from dyod_studio.store.files import PNG
from dyod_studio.store.generations import GenerationRepository
from dyod_studio.store.pictures import PictureRepository
from dyod_studio.store.storage import Storage
from dyod_studio.store.tables import Generation, Picture

SET_PREFIX, MADE_PREFIX = "set:", "made:"


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
    image: Image.Image = read_image(original).crop(crop.box)
    file = io.BytesIO()
    image.save(file, "PNG")
    with storage.files.guard():
        return storage.files.add_bytes(file.getvalue(), PNG).path


DEFAULT_SEED = 1
"""The noise of a walk that begins at no seed: always the same, so that it is drawn once."""


class Explore:
    """Plans ways and places; ``prefetcher`` draws them in the background."""

    def __init__(
        self, storage: Storage, projects: Projects, sampling: Sampling, run_request: RunRequest
    ) -> None:
        self._storage, self._projects, self._sampling = storage, projects, sampling
        self._dispatcher = RequestDispatcher(storage, run_request)
        self._frames = Frames(storage)
        self.prefetcher = StripPrefetcher(storage, self._dispatcher)

    def interpolation(self, ref: int | str, settings: InterpolationSettings) -> StripPlan:
        """The frames between two ends, ready to be drawn.

        Raises:
            InvalidInputError: an end cannot be used, both are the same, or a part is missing.
        """
        project_id, parameters = self._common(ref, settings)
        a = self._origin(project_id, parameters, "A", settings.a)
        b = self._origin(project_id, parameters, "B", settings.b)
        if a == b:
            raise InvalidInputError("A and B are the same picture: choose another one for B.")
        parameters |= {
            "seed": _seed(settings, a),
            "a": a.label,
            "b": b.label,
            "num_frames": settings.num_frames,
            "free_noise": settings.free_noise,
            "is_spherical": settings.is_spherical,
        }
        return interpolation(Asked(project_id, "interpolation", parameters, _files(a=a, b=b)))

    def around(self, ref: int | str, settings: PlaceSettings) -> StripPlan:
        """The place and a strip along each of the first traits, ready to be drawn."""
        num_traits = min(NUM_TRAITS, len(self._sampling.coordinates(ref)))
        return around(self._place(ref, settings), settings.moved, num_traits)

    def place(self, ref: int | str, settings: PlaceSettings) -> StripPlan:
        """The place alone, ready to be drawn."""
        asked, what = self._place(ref, settings), tuple(settings.moved.items())
        key = key_of(asked, what)
        return StripPlan(asked, (Step(key, what),), (((0.0, key),),))

    def near(
        self,
        ref: int | str,
        settings: NearSettings,
        on_progress: OnProgress | None = None,
        *,
        visitor: str | None = None,
    ) -> list[GenerationView]:
        """New pictures near one, each with a code and a noise of its own."""
        project_id, parameters = self._common(ref, settings)
        origin = self._origin(project_id, parameters, "origin", settings.origin)
        parameters |= {
            "origin": origin.label,
            "places": [{} for _ in range(settings.num_images)],
            "spread": settings.spread,
            "free_noise": True,
        }
        asked = Asked(project_id, "near", parameters, _files(origin=origin))
        with self._dispatcher.scope(visitor) as scope:
            return self._dispatcher.ask(asked, scope, on_progress)

    def cancel(self, visitor: str) -> int:
        """Stop the new pictures that the visitor waits for; returns how many errands that were."""
        return self._dispatcher.cancel(visitor)

    def keep(self, ref: int | str, key: str, *, is_favorite: bool = False) -> GenerationView:
        """Put a frame of a walk into the gallery."""
        return self._frames.keep(self._projects.get(ref).id, key, is_favorite=is_favorite)

    def _place(self, ref: int | str, settings: PlaceSettings) -> Asked:
        project_id, parameters = self._common(ref, settings)
        count = len(self._sampling.coordinates(ref))
        if settings.moved and max(settings.moved) >= count:
            raise InvalidInputError(f"A trait lies in [0, {count - 1}], got {max(settings.moved)}.")
        origin = self._origin(project_id, parameters, "origin", settings.origin)
        parameters |= {"seed": _seed(settings, origin), "origin": origin.label}
        return Asked(project_id, "place", parameters, _files(origin=origin))

    def _common(self, ref: int | str, settings: Denoising) -> tuple[int, dict[str, Any]]:
        """The project's number, and the parameters of every kind of request."""
        project = self._projects.get(ref)
        with self._storage.database.session() as session:
            parts = choose_parts(session, project, settings.use, needs_vae=True)
        default_t0 = DEFAULT_T0["distribution"]
        return project.id, common_parameters(project, settings, parts, default_t0)

    def _origin(self, project_id: int, parameters: dict[str, Any], name: str, ref: str) -> Origin:
        return find_origin(self._storage, project_id, parameters["artifacts"]["vae"], name, ref)


def _seed(settings: Denoising, origin: Origin) -> int:
    """The noise: what was asked for, or that of the origin, so that a picture begins as itself."""
    if settings.seed is not None:
        return settings.seed
    return DEFAULT_SEED if origin.seed is None else origin.seed


def _files(**origins: Origin) -> dict[str, Path]:
    return {name: origin.file for name, origin in origins.items() if origin.file is not None}
