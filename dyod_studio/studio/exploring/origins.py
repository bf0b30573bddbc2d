"""What a person points at, as the sampler wants it: a seed's own code, or a picture's file."""

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from sqlalchemy.orm import Session

from dyod_studio.datasets.preparing import Crop, centre_crop
from dyod_studio.datasets.reading import read_image
from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.jobs.parameters import AVERAGE, SEED_PREFIX
from dyod_studio.store.files import PNG
from dyod_studio.store.generations import GenerationRepository
from dyod_studio.store.pictures import PictureRepository
from dyod_studio.store.storage import Storage
from dyod_studio.store.tables import Generation, Picture
from dyod_studio.studio.sampling.given_pictures import check_pictures

SET_PREFIX, MADE_PREFIX = "set:", "made:"


@dataclass(frozen=True, slots=True)
class Origin:
    """``said`` goes into the request's parameters, ``file`` beside it where there is one."""

    said: str
    file: Path | None = None

    @property
    def seed(self) -> int | None:
        """The seed that draws its code, where one does."""
        if not self.said.startswith(SEED_PREFIX):
            return None
        return int(self.said.removeprefix(SEED_PREFIX))


def find_origin(storage: Storage, project_id: int, vae_sha256: str, name: str, told: str) -> Origin:
    """The origin that was told.

    Args:
        name: what it is, for the sentence when it cannot be found.

    Raises:
        InvalidInputError: it cannot be read, or is not the project's.
    """
    if told == AVERAGE:
        return Origin(AVERAGE)
    with storage.database.session() as session:
        if told.startswith(SEED_PREFIX):
            return Origin(f"{SEED_PREFIX}{_number(name, told, SEED_PREFIX)}")
        if told.startswith(SET_PREFIX):
            return _of_set(storage, session, project_id, _number(name, told, SET_PREFIX))
        if told.startswith(MADE_PREFIX):
            number = _number(name, told, MADE_PREFIX)
            (row,) = GenerationRepository(session).of_ids(project_id, [number])
            return _of_made(storage, row, vae_sha256)
    path = Path(told)
    check_pictures({name: path})
    with storage.files.guard():
        stored = storage.files.add_file(path, path.suffix.lower())
    return Origin(path.name, stored.path)


def _number(name: str, told: str, prefix: str) -> int:
    text = told.removeprefix(prefix)
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise InvalidInputError(f"{name} must be a number after {prefix!r}, got {told!r}.")
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
