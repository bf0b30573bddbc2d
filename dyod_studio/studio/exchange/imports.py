"""Bring a whole project in from its one file: checked piece by piece, kept whole or not at all."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from dyod_studio.errors import BaseModelError, InvalidInputError
from dyod_studio.jobs.images import base_name
from dyod_studio.models.references import STARTER, check_base_ref, fingerprint_of, locate_base
from dyod_studio.settings import STARTER_DIR
from dyod_studio.store.storage import Storage
from dyod_studio.studio.exchange.archive import check_room, opened_project
from dyod_studio.studio.exchange.import_checks import CheckedPart, OnProgress, check_project
from dyod_studio.studio.exchange.import_rows import keep_project
from dyod_studio.studio.exchange.project_file import ProjectIndex
from dyod_studio.studio.projects import MAX_NAME_LENGTH, Projects, token_for
from dyod_studio.studio.views import ProjectView

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
    """What ``import`` and a project file dropped on the page ask for."""

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
