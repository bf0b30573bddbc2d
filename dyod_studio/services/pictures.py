"""The pictures of a set, looked over: what stands out, what is left out, and crops."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from dyod_studio.datasets.advice import PictureFacts, advise, small_ones, soft_ones
from dyod_studio.datasets.images import (
    ANY_SIZE,
    Crop,
    border_colour,
    content_crop,
    is_padded,
    read_image,
    whole_crop,
)
from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.requests.cropping import CropMode
from dyod_studio.requests.sampling import STARTER
from dyod_studio.store.database import Session
from dyod_studio.store.files import WEBP
from dyod_studio.store.projects import PictureRepository, ProjectRepository
from dyod_studio.store.records import Picture, utc_now
from dyod_studio.store.storage import Storage

MIN_CROP_PX = 32


@dataclass(frozen=True, slots=True)
class PictureDetails:
    """One picture with what can be changed about it; the crop is in pixels of the original."""

    id: int
    name: str
    file: Path
    thumbnail: Path
    width: int
    height: int
    crop_left: int
    crop_top: int
    crop_side: int
    caption: str
    is_left_out: bool
    padding: str = ""
    """Colour of what the square holds beyond the picture, #rrggbb, of one that was asked for."""


@dataclass(frozen=True, slots=True)
class CheckView:
    """A set as a colleague sees it.

    ``repeats`` pairs what was put aside with the picture that it shows again, which may be gone;
    ``left_out`` is what a person put aside.
    """

    num_pictures: int
    advice: tuple[str, ...]
    repeats: tuple[tuple[PictureDetails, PictureDetails | None], ...]
    soft: tuple[PictureDetails, ...]
    small: tuple[PictureDetails, ...]
    left_out: tuple[PictureDetails, ...]
    may_be_used: bool
    num_not_square: int = 0
    crop_mode: CropMode = CropMode.AUTO


class Pictures:
    """Pictures of a project: looked over as a set, and changed one by one."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def check(self, ref: int | str) -> CheckView:
        """The whole set looked over.

        Raises:
            NotFoundError: there is no such project.
        """
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            pictures = PictureRepository(session)
            rows, aside = pictures.all(project.id), pictures.left_out(project.id)
            facts = [PictureFacts(row.crop_side, row.sharpness, row.ground) for row in rows]
            repeats = tuple(
                (self._details(row), self._original(pictures, row))
                for row in aside
                if row.repeats_sha256
            )
            return CheckView(
                num_pictures=len(rows),
                advice=tuple(
                    advise(
                        facts,
                        num_repeats=len(repeats),
                        knows_icons_only=project.base == STARTER,
                    )
                ),
                repeats=repeats,
                soft=self._picked(rows, soft_ones(facts)),
                small=self._picked(rows, small_ones(facts)),
                left_out=tuple(self._details(row) for row in aside if not row.repeats_sha256),
                may_be_used=project.rights_confirmed_at is not None,
                num_not_square=sum(row.width != row.height for row in (*rows, *aside)),
                crop_mode=CropMode(project.crop_mode),
            )

    def get(self, ref: int | str, picture_id: int) -> PictureDetails:
        """One picture of this project.

        Raises:
            NotFoundError: the project has no such picture.
        """
        with self._storage.database.session() as session:
            return self._with_padding(_of_project(session, ref, picture_id))

    def leave_out(self, ref: int | str, picture_id: int, *, is_out: bool = True) -> PictureDetails:
        """Put a picture aside, or take it into the set (again)."""
        with self._storage.database.session() as session:
            row = _of_project(session, ref, picture_id)
            changed = PictureRepository(session).change(row.id, is_left_out=is_out)
            return self._details(changed)

    def crop(
        self, ref: int | str, picture_id: int, *, left: int, top: int, side: int
    ) -> PictureDetails:
        """Choose the square that is learned, in pixels of the upright original.

        Raises:
            InvalidInputError: the square is too small, too large, or reaches beyond the picture.
        """
        with self._storage.database.session() as session:
            row = _of_project(session, ref, picture_id)
            shortest, longest = sorted((row.width, row.height))
            least = min(MIN_CROP_PX, shortest)
            if not least <= side <= longest:
                raise InvalidInputError(
                    f"The side of the square must lie in [{least}, {longest}] pixels, got {side}."
                )
            if not Crop(left, top, side).fits((row.width, row.height)):
                raise InvalidInputError(
                    f"The square of {side} pixels must lie within the picture of {row.width} x"
                    f" {row.height}, or around it where it is larger, got {left}, {top}."
                )
            changed = PictureRepository(session).change(
                row.id, crop_left=left, crop_top=top, crop_side=side
            )
            return self._with_padding(changed)

    def crop_all(self, ref: int | str, mode: CropMode) -> None:
        """Choose what is learned of every picture that is no square, and of those to come.

        Squares that were moved by hand are moved again; square pictures stay as they are.
        """
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            pictures = PictureRepository(session)
            rows = (*pictures.all(project.id), *pictures.left_out(project.id))
        crops = {row.id: self._crop(row, mode) for row in rows if row.width != row.height}
        with self._storage.database.session() as session:
            ProjectRepository(session).crop_as(project.id, mode.value)
            pictures = PictureRepository(session)
            for number, crop in crops.items():
                pictures.change(number, crop_left=crop.left, crop_top=crop.top, crop_side=crop.side)

    def _crop(self, row: Picture, mode: CropMode) -> Crop:
        """The square that an import would choose; content is looked for on the thumbnail."""
        if is_padded(mode, is_plain=bool(row.ground)):
            return whole_crop((row.width, row.height))
        crop, side = content_crop(self._thumbnail(row)), min(row.width, row.height)
        scale = side / crop.side
        left = min(round(crop.left * scale), row.width - side)
        return Crop(left, min(round(crop.top * scale), row.height - side), side)

    def _with_padding(self, row: Picture) -> PictureDetails:
        """The picture with the colour that its square holds beyond it."""
        details = self._details(row)
        if row.crop_side <= min(row.width, row.height):
            return details
        colour = border_colour(self._thumbnail(row))
        return replace(details, padding="#{:02x}{:02x}{:02x}".format(*colour))

    def _thumbnail(self, row: Picture) -> Image.Image:
        return read_image(self._storage.files.path(row.thumbnail_sha256, WEBP), limits=ANY_SIZE)

    def confirm_rights(self, ref: int | str, *, may_be_used: bool = True) -> None:
        """Note that the pictures may be used for training, or take that back."""
        with self._storage.database.session() as session:
            projects = ProjectRepository(session)
            since = utc_now() if may_be_used else None
            projects.confirm_rights(projects.find(ref).id, since)

    def _picked(self, rows: Sequence[Picture], places: Sequence[int]) -> tuple[PictureDetails, ...]:
        return tuple(self._details(rows[place]) for place in places)

    def _original(self, pictures: PictureRepository, row: Picture) -> PictureDetails | None:
        original = pictures.with_file(row.project_id, row.repeats_sha256 or "")
        return self._details(original) if original else None

    def _details(self, row: Picture) -> PictureDetails:
        files = self._storage.files
        return PictureDetails(
            id=row.id,
            name=row.name,
            file=files.path(row.sha256, row.suffix),
            thumbnail=files.path(row.thumbnail_sha256, WEBP),
            width=row.width,
            height=row.height,
            crop_left=row.crop_left,
            crop_top=row.crop_top,
            crop_side=row.crop_side,
            caption=row.caption or "",
            is_left_out=row.is_left_out,
        )


def _of_project(session: Session, ref: int | str, picture_id: int) -> Picture:
    project = ProjectRepository(session).find(ref)
    row = PictureRepository(session).get(picture_id)
    if row.project_id != project.id:
        raise NotFoundError(f"Project {project.name!r} has no picture {picture_id}.")
    return row
