"""Make a picture again from its file: whatever screen, project or day it came from."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dyod_studio.datasets.images import ANY_SIZE, read_image
from dyod_studio.errors import InvalidInputError, RejectedImageError
from dyod_studio.requests.sampling import AnyRequest
from dyod_studio.services.gallery.png_metadata import ImageMetadata, read_metadata
from dyod_studio.services.gallery.provenance import (
    called,
    find_part,
    inputs_of,
    provenance_of,
    stored_input,
    whole_number,
)
from dyod_studio.services.projects import Projects, choose_parts
from dyod_studio.services.sampling.dispatcher import (
    OnProgress,
    RequestDispatcher,
)
from dyod_studio.services.views import GenerationView, Provenance
from dyod_studio.store.database import Session
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.store.requests import GenerationRepository
from dyod_studio.store.storage import Storage

DEFAULT_STEPS = 50


@dataclass(frozen=True, slots=True)
class RecallView:
    """Outcome of making a picture again.

    ``difference`` is the largest from the file's pixels, in levels of 0 to 255; None for a file of
    another tool.
    """

    provenance: Provenance
    picture: GenerationView
    difference: int | None

    @property
    def is_identical(self) -> bool | None:
        """Whether the pixels are the file's."""
        return None if self.difference is None else self.difference == 0


class Recreation:
    """Pictures made again from their files, for ``recall`` and the gallery."""

    def __init__(self, storage: Storage, projects: Projects, dispatcher: RequestDispatcher) -> None:
        self._storage, self._projects = storage, projects
        self._dispatcher = dispatcher

    def read(self, path: Path, ref: int | str | None = None) -> Provenance:
        """Read from the file how it was made, as a screen needs it.

        Args:
            ref: the project that shall draw it; None for the one that has what it was drawn with.

        Raises:
            InvalidInputError: the file says nothing that can be used, or no project is meant.
        """
        metadata = read_metadata(path)
        with self._storage.database.session() as session:
            project_id = self._project(session, metadata, path, ref)
            values = metadata.values
            if metadata.source != "dyod":
                values = self._from_elsewhere(project_id, metadata)
            return provenance_of(
                self._storage,
                session,
                project_id,
                values,
                source=metadata.source,
                unused=metadata.unused,
            )

    def recall(
        self, path: Path, ref: int | str | None = None, on_progress: OnProgress | None = None
    ) -> RecallView:
        """Draw the picture of the file again, with the very parts and inputs it was drawn with.

        It is drawn by itself; should that not give the same pixels, with all its request.

        Raises:
            InvalidInputError: the file says nothing that can be used, or which part or input of
                it is missing here.
        """
        provenance = self.read(path, ref)
        if provenance.source != "dyod":
            (picture,) = self._draw(provenance, provenance.request, on_progress)
            return RecallView(provenance, picture, None)
        metadata = read_metadata(path).values
        self._check_complete(provenance.project_id, metadata)
        place = whole_number(metadata, "position", 0)
        alone = provenance.request.alone(place, provenance.picture_seed)
        if alone is not None:
            (picture,) = self._draw(provenance, alone, on_progress)
            if _difference(path, picture.file) == 0:
                return RecallView(provenance, picture, 0)
        made = self._draw(provenance, provenance.request, on_progress)
        if not 0 <= place < len(made):
            raise InvalidInputError(f"The picture says it is number {place} of {len(made)}.")
        return RecallView(provenance, made[place], _difference(path, made[place].file))

    def _project(
        self, session: Session, metadata: ImageMetadata, path: Path, ref: int | str | None
    ) -> int:
        """The project that is named, that made this very file, or that has all its parts."""
        if ref is not None:
            return ProjectRepository(session).find(ref).id
        made = GenerationRepository(session).by_sha256(_sha256(path))
        if made is not None:
            return made.project_id
        parts = metadata.values.get("artifacts")
        if isinstance(parts, dict) and parts:
            for project in reversed(ProjectRepository(session).all()):
                if all(find_part(session, project.id, str(part)) for part in parts.values()):
                    return project.id
            raise InvalidInputError(
                f"No project here has what {path.name} was drawn with "
                f"({_named(parts)}): import that project first, or name another one."
            )
        raise InvalidInputError(f"Name the project that shall draw {path.name}.")

    def _from_elsewhere(self, project_id: int, metadata: ImageMetadata) -> dict[str, Any]:
        """A request in the manner of the project, with what another tool's file says."""
        project = self._projects.get(project_id)
        with self._storage.database.session() as session:
            parts = choose_parts(session, project, None)
        return {
            "kind": "prompt",
            "base": project.base,
            "artifacts": {kind: row.sha256 for kind, row in parts.items() if kind != "vae"},
            "t0": 1.0,
            "seed": 0,
            "num_images": 1,
            "num_inference_steps": DEFAULT_STEPS,
            "guidance_scale": None,
            "prompt": None,
            **metadata.values,
        }

    def _check_complete(self, project_id: int, metadata: Mapping[str, Any]) -> None:
        """Say which part or input is missing, before anything is drawn.

        Raises:
            InvalidInputError: what is missing.
        """
        parts = dict(metadata.get("artifacts") or {})
        with self._storage.database.session() as session:
            gone = {
                kind: sha256
                for kind, sha256 in parts.items()
                if find_part(session, project_id, sha256) is None
            }
        if gone:
            raise InvalidInputError(
                f"This project does not have the trained part that the picture was drawn with: "
                f"{_named(gone)}."
            )
        for name, sha256 in inputs_of(metadata).items():
            if stored_input(self._storage, sha256) is None:
                raise InvalidInputError(
                    f"The picture cannot be made again: {called(name)} that it began from "
                    f"({sha256[:10]}) is no longer in this storage."
                )

    def _draw(
        self, provenance: Provenance, request: AnyRequest, on_progress: OnProgress | None
    ) -> list[GenerationView]:
        base = self._projects.get(provenance.project_id).base
        with self._dispatcher.scope(None) as scope:
            request = request.replace(base=base)
            return self._dispatcher.ask(provenance.project_id, request, scope, on_progress)


def _difference(one: Path, other: Path) -> int:
    """The largest of any colour of any pixel; 255 where the sizes differ."""
    try:
        images = [read_image(path, limits=ANY_SIZE) for path in (one, other)]
    except RejectedImageError as exc:
        raise InvalidInputError(f"{one.name} {exc}.") from exc
    if images[0].size != images[1].size:
        return 255
    first, second = (np.asarray(image, np.int16) for image in images)
    return int(np.abs(first - second).max())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _named(parts: Mapping[str, Any]) -> str:
    return ", ".join(f"{kind} {str(sha256)[:10]}" for kind, sha256 in sorted(parts.items()))
