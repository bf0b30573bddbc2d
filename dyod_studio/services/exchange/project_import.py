"""Bring a whole project in from its one file: checked piece by piece, kept whole or not at all."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dyod_studio.errors import BaseModelError, InvalidInputError
from dyod_studio.jobs.images import base_name
from dyod_studio.models.references import check_base_ref, fingerprint_of, locate_base
from dyod_studio.requests.sampling import STARTER, read_request
from dyod_studio.services.exchange.import_checks import (
    CheckedImage,
    CheckedPart,
    CheckedPicture,
    OnProgress,
    check_project,
)
from dyod_studio.services.exchange.import_checks import CheckedProject as Checked
from dyod_studio.services.exchange.project_archive import (
    BookmarkEntry,
    ImageEntry,
    ProjectIndex,
    RequestEntry,
    check_room,
    opened_project,
)
from dyod_studio.services.exchange.project_export import name_traits, origins
from dyod_studio.services.projects import MAX_NAME_LENGTH, Projects, token_for
from dyod_studio.services.views import ProjectView
from dyod_studio.settings import STARTER_DIR
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.bookmarks import BookmarkRepository, StoredImage
from dyod_studio.store.cleaning import FileName, remove_unreferenced
from dyod_studio.store.database import Session
from dyod_studio.store.files import PNG, SAFETENSORS, WEBP, FileStore
from dyod_studio.store.projects import PictureRepository, ProjectRepository
from dyod_studio.store.records import Generation, JobState, Picture, utc_now
from dyod_studio.store.requests import GenerationRepository, InputFile, SampleRequestRepository
from dyod_studio.store.storage import Storage


def keep_project(storage: Storage, checked: Checked, *, name: str, token: str, base: str) -> int:
    """Store the files, then every row in one transaction; returns the new project's id.

    Ids are new ones throughout; files that are here already are kept once.
    """
    kept: list[FileName] = []
    with storage.files.guard():
        try:
            with storage.database.session() as session:
                projects = ProjectRepository(session)
                project = projects.add(name, base=base, token=token)
                projects.confirm_rights(project.id, _aware(checked.index.rights_confirmed_at))
                projects.crop_as(project.id, checked.index.crop_mode.value)
                writer = _Writer(storage.files, session, project.id, base, kept)
                for picture in checked.pictures:
                    writer.add_picture(picture)
                for part in checked.parts:
                    writer.add_part(part)
                for request in checked.index.requests:
                    writer.add_request(request, checked.images)
                writer.add_bookmarks(checked.index.places, checked.images)
                name_traits(session, project.id, checked.index.traits)
                return project.id
        except BaseException:
            remove_unreferenced(storage, kept)
            raise


class _Writer:
    """Adds files and rows to one project."""

    def __init__(
        self, files: FileStore, session: Session, project_id: int, base: str, kept: list[FileName]
    ) -> None:
        self._files, self._session, self._kept = files, session, kept
        self._project_id, self._base = project_id, base

    def add_picture(self, picture: CheckedPicture) -> None:
        entry, image = picture.entry, picture.image
        small = self._files.add_bytes(image.thumbnail, WEBP)
        self._kept += [FileName(entry.sha256, image.suffix), FileName(small.sha256, WEBP)]
        self._files.add_file(image.path, image.suffix)
        PictureRepository(self._session).add(
            Picture(
                project_id=self._project_id,
                name=entry.name,
                sha256=entry.sha256,
                phash=picture.phash,
                suffix=image.suffix,
                width=image.width,
                height=image.height,
                crop_left=picture.crop.left,
                crop_top=picture.crop.top,
                crop_side=picture.crop.side,
                thumbnail_sha256=small.sha256,
                caption=entry.caption,
                is_left_out=entry.is_left_out,
                repeats_sha256=entry.repeats_sha256,
                sharpness=entry.sharpness,
                ground=entry.ground,
                created_at=_aware(entry.created_at) or utc_now(),
            )
        )

    def add_part(self, part: CheckedPart) -> None:
        stored = self._files.add_file(part.path, SAFETENSORS)
        self._kept.append(FileName(stored.sha256, SAFETENSORS))
        ArtifactRepository(self._session).add(
            self._project_id,
            part.kind,
            stored,
            base_fingerprint=part.base_fingerprint,
            config=part.config,
            created_at=_aware(part.created_at),
        )

    def add_request(self, entry: RequestEntry, images: Mapping[str, CheckedImage]) -> None:
        """A request that has long been carried out, with what it made."""
        inputs = []
        for file in entry.inputs:
            image = images[file.file]
            self._files.add_file(image.path, image.suffix)
            self._kept.append(FileName(file.sha256, image.suffix))
            inputs.append(InputFile(file.name, file.sha256, image.suffix))
        parameters = read_request(entry.kind, entry.parameters).to_json()
        requests = SampleRequestRepository(self._session)
        request = requests.add(
            self._project_id,
            entry.kind,
            {**parameters, "base": self._base},
            num_steps=entry.num_steps,
            inputs=tuple(inputs),
            created_at=_aware(entry.created_at),
        )
        requests.move(request.id, JobState.RUNNING)
        requests.move(request.id, JobState.SUCCEEDED)
        for row in entry.images:
            self._add_image(request.id, entry.kind, row, images[row.file])

    def _add_image(
        self, request_id: int, kind: str, entry: ImageEntry, image: CheckedImage
    ) -> None:
        small = self._files.add_bytes(image.thumbnail, WEBP)
        self._files.add_file(image.path, PNG)
        self._kept += [FileName(entry.sha256, PNG), FileName(small.sha256, WEBP)]
        GenerationRepository(self._session).add(
            Generation(
                project_id=self._project_id,
                request_id=request_id,
                kind=kind,
                position=entry.position,
                parameters=_with_base(entry.parameters, self._base),
                seed=entry.seed,
                sha256=entry.sha256,
                thumbnail_sha256=small.sha256,
                width=image.width,
                height=image.height,
                is_favorite=entry.is_favorite,
                created_at=_aware(entry.created_at) or utc_now(),
            )
        )

    def add_bookmarks(
        self, places: Sequence[BookmarkEntry], images: Mapping[str, CheckedImage]
    ) -> None:
        """Saved places; those that begin at a picture find it by its content."""
        here = {there: ours for ours, there in origins(self._session, self._project_id).items()}
        for entry in places:
            image = images[entry.file]
            small = self._files.add_bytes(image.thumbnail, WEBP)
            self._files.add_file(image.path, PNG)
            self._kept += [FileName(entry.sha256, PNG), FileName(small.sha256, WEBP)]
            origin = str(entry.settings["origin"])
            BookmarkRepository(self._session).add(
                self._project_id,
                entry.name,
                entry.vae_sha256,
                {**entry.settings, "origin": here.get(origin, origin)},
                StoredImage(entry.sha256, small.sha256),
                created_at=_aware(entry.created_at),
            )


def _with_base(parameters: Mapping[str, Any], base: str) -> dict[str, Any]:
    return {**parameters, "base": base}


def _aware(moment: datetime | None) -> datetime | None:
    """A moment without a time zone is taken as UTC."""
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=UTC)


TOKEN = re.compile(r"<[\w-]{1,60}>")
NUMBER_ROOM = 6
"""Characters kept free for the number after a name that is taken."""


@dataclass(frozen=True, slots=True)
class ImportedView:
    """A project that was brought in, and what came with it."""

    project: ProjectView
    num_pictures: int
    num_parts: int
    num_images: int


class Imports:
    """Import of project files, for ``import`` and the page."""

    def __init__(self, storage: Storage, projects: Projects) -> None:
        self._storage, self._projects = storage, projects

    def import_project(
        self,
        path: Path,
        *,
        name: str | None = None,
        base: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> ImportedView:
        """A new project with all that the file holds.

        Args:
            name: what it is called here; None for its own name, with a number when that is taken.
            base: the base model it draws with; None for the one that the file names.

        Raises:
            InvalidInputError: what is wrong with the file; nothing has been kept then.
        """
        temporary = self._storage.temporary_dir
        with opened_project(path) as archive, TemporaryDirectory(dir=temporary) as folder:
            index = archive.index
            chosen, called = self._base(index, base), self._name(index, name)
            check_room(archive.total_bytes, temporary)
            checked = check_project(archive, Path(folder), on_progress)
            _check_bases(checked.parts, chosen)
            token = index.token if TOKEN.fullmatch(index.token) else token_for(called)
            project_id = keep_project(self._storage, checked, name=called, token=token, base=chosen)
        return ImportedView(
            self._projects.get(project_id),
            len(checked.pictures),
            len(checked.parts),
            sum(len(request.images) for request in index.requests),
        )

    def _name(self, index: ProjectIndex, asked: str | None) -> str:
        """The name that was asked for, or the project's own with a number where it is taken."""
        taken = {view.name for view in self._projects.all()}
        stem = " ".join((index.name if asked is None else asked).split())
        if asked is not None:
            if not 1 <= len(stem) <= MAX_NAME_LENGTH or stem.isdecimal() or stem in taken:
                raise InvalidInputError(
                    f"The imported project needs a name of its own, of 1 to {MAX_NAME_LENGTH} "
                    f"characters and not a bare number, got {stem!r}."
                )
            return stem
        stem = stem[: MAX_NAME_LENGTH - NUMBER_ROOM] or "Imported"
        stem = f"Project {stem}" if stem.isdecimal() else stem
        called, number = stem, 1
        while called in taken:
            number += 1
            called = f"{stem} {number}"
        return called

    def _base(self, index: ProjectIndex, asked: str | None) -> str:
        """A base model that is here: the one asked for, or one of the name that the file gives."""
        if asked is not None:
            check_base_ref(asked, STARTER_DIR)
            local = Path(asked).expanduser()
            return str(local.resolve()) if asked != STARTER and local.exists() else asked
        here = [view.base for view in self._projects.all() if base_name(view.base) == index.base]
        for candidate in (*here, index.base):
            if _is_here(candidate):
                return candidate
        raise InvalidInputError(
            f"The project draws with the base model {index.base!r}, which is not on this machine: "
            "name the folder, .safetensors file or hub id that takes its place (base)."
        )


def _is_here(base: str) -> bool:
    try:
        check_base_ref(base, STARTER_DIR)
    except BaseModelError:
        return False
    return True


def _check_bases(parts: Sequence[CheckedPart], base: str) -> None:
    """Refuse parts that were trained on another base model than the one they come to."""
    path = locate_base(base, STARTER_DIR).path
    if path is None or not parts:
        return
    fingerprint = fingerprint_of(path)
    for part in parts:
        if part.base_fingerprint != fingerprint:
            raise InvalidInputError(
                f"The {part.kind} in this file was trained on another base model than {base!r}: "
                "name the one it was trained on (base)."
            )
