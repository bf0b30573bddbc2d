"""The trained parts of a project: listed, taken out as files, brought in from elsewhere, chosen."""

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dyod_studio.disk import write_beside_and_rename
from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.jobs.one_shot import Run, convert_part
from dyod_studio.models.foreign_headers import Header, read_header, recognise
from dyod_studio.requests.part_kinds import IMPORTED_FROM, PART_KINDS, load_reference
from dyod_studio.services.exchange.export import part_files
from dyod_studio.services.projects import Projects, token_for
from dyod_studio.settings import Settings
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.files import SAFETENSORS
from dyod_studio.store.records import Artifact
from dyod_studio.store.storage import Storage

MAX_TITLE = 80
WEIGHTS_OF = "dyod_studio.models.control_files:weights_of"
"""Loads diffusers; imported when it is needed."""


@dataclass(frozen=True, slots=True)
class TrainedPart:
    """One stored part. ``is_in_use``: the newest of its kind, the one that is drawn with.

    ``token`` is the word that it taught, if it taught one; ``imported_from`` names the file of a
    part that was made elsewhere; ``job_id`` the run of one that was trained here.
    """

    id: int
    kind: str
    title: str
    token: str | None
    sha256: str
    bytes: int
    job_id: int | None
    imported_from: str | None
    is_in_use: bool
    created_at: datetime


class Artifacts:
    """Trained parts, as ``artifact`` and the lists of them need them."""

    def __init__(self, storage: Storage, projects: Projects, settings: Settings, run: Run) -> None:
        self._storage, self._projects = storage, projects
        self._settings, self._run = settings, run

    def list(self, ref: int | str) -> tuple[TrainedPart, ...]:
        """Every stored part of the project, the newest first."""
        project_id = self._projects.get(ref).id
        with self._storage.database.session() as session:
            rows = ArtifactRepository(session).of_project(project_id)
            newest = {row.kind: row.id for row in rows}
            return tuple(_view(row, newest[row.kind] == row.id) for row in reversed(rows))

    def find(self, ref: int | str, which: int | str) -> TrainedPart:
        """One part by its number, or the one in use of a kind.

        Raises:
            NotFoundError: the project has no such part.
        """
        parts = self.list(ref)
        asked = str(which).strip()
        for part in parts:
            if asked == str(part.id) or (asked == part.kind and part.is_in_use):
                return part
        known = ", ".join(f"{part.id} ({part.kind})" for part in parts) or "none yet"
        raise NotFoundError(f"This project has no trained part {asked!r}; it has {known}.")

    def use(self, ref: int | str, part_id: int) -> TrainedPart:
        """Make an earlier part the one of its kind that is drawn with.

        Raises:
            NotFoundError: the project has no such part.
        """
        part = self.find(ref, part_id)
        if not part.is_in_use:
            with self._storage.files.guard(), self._storage.database.session() as session:
                ArtifactRepository(session).make_newest(part.id)
        return self.find(ref, part.kind)

    def export(self, ref: int | str, which: int | str, out: Path) -> tuple[Path, ...]:
        """Write a part as the files that other tools load; each is whole or not there.

        Args:
            out: a folder, or a name that ends in .safetensors for the one file most tools read.

        Raises:
            NotFoundError: the project has no such part.
            InvalidInputError: ``out`` cannot be written.
        """
        part = self.find(ref, which)
        path = self._storage.files.path(part.sha256, SAFETENSORS)
        word = (part.token or part.title).strip("<>")
        files = dict(part_files(part.kind, path, word))
        if out.suffix.lower() == SAFETENSORS:
            name = next(iter(files))
            return (_write(out, files[name]),)
        if out.exists() and not out.is_dir():
            raise InvalidInputError(
                f"{str(out)!r} is a file: give a folder, or a name that ends in .safetensors."
            )
        return tuple(_write(out / name, content) for name, content in files.items())

    def import_file(
        self, ref: int | str, path: Path, *, token: str | None = None, title: str | None = None
    ) -> TrainedPart:
        """Bring in a LoRA, textual inversion or control net made elsewhere, or an exported part.

        Args:
            path: a file, or the folder of a control net in diffusers' layout.
            token: what a textual inversion is called in prompts; None for the token in the file,
                or one made from the file's name.
            title: how it is listed; None for the token in the file, or the file's name.

        Raises:
            InvalidInputError: no such file, pickled, damaged, of an unknown kind, or made for
                another base model; nothing has been stored then.
        """
        project = self._projects.get(ref)
        called = path.stem
        if path.is_dir():
            path = load_reference(WEIGHTS_OF)(path)
        header = read_header(path)
        own = _own_token(header)
        shown = " ".join((title or own or called).split())[:MAX_TITLE] or "imported"
        word = token or own or token_for(shown)
        _check_token(word)
        _check_kind(header)
        with TemporaryDirectory(dir=self._storage.temporary_dir) as folder:
            target = Path(folder) / "part.safetensors"
            arguments = (self._settings, project.base, path.resolve(), target, word, shown)
            description = self._run(convert_part, *arguments)
            part_id = self._keep(project.id, target, description)
        return self.find(project.id, part_id)

    def _keep(self, project_id: int, file: Path, description: dict[str, Any]) -> int:
        with self._storage.files.guard(), self._storage.database.session() as session:
            row = ArtifactRepository(session).add(
                project_id,
                description["kind"],
                self._storage.files.add_file(file),
                base_fingerprint=description["base_fingerprint"],
                config=description["config"],
            )
            return row.id


def _view(row: Artifact, is_in_use: bool) -> TrainedPart:
    token, source = row.config.get("token"), row.config.get(IMPORTED_FROM)
    title = row.config.get("title") or token or row.config.get("class_noun") or row.kind
    return TrainedPart(
        id=row.id,
        kind=row.kind,
        title=str(title),
        token=None if token is None else str(token),
        sha256=row.sha256,
        bytes=row.bytes,
        job_id=row.job_id,
        imported_from=None if source is None else str(source),
        is_in_use=is_in_use,
        created_at=row.created_at,
    )


def _own_token(header: Header) -> str | None:
    """The token that diffusers keeps as the key of the vectors."""
    keys = list(header.shapes)
    is_token = len(keys) == 1 and keys[0].startswith("<") and keys[0].endswith(">")
    return keys[0] if is_token else None


def _check_token(token: str) -> None:
    inner = token.removeprefix("<").removesuffix(">")
    if len(token) != len(inner) + 2 or not inner or set(inner) & set("<> \t\n") or len(inner) > 60:
        raise InvalidInputError(
            f"token must be one word of up to 60 letters in angle brackets, such as <my-style>, "
            f"got {token!r}."
        )


def _check_kind(header: Header) -> None:
    """Say at once, without loading anything, that a file is of no kind the studio knows."""
    if header.metadata.get("dyod.format") not in PART_KINDS:
        recognise(header)


def _write(target: Path, content: Path | bytes) -> Path:
    try:
        with write_beside_and_rename(target) as partial:
            if isinstance(content, Path):
                shutil.copyfile(content, partial)
            else:
                partial.write_bytes(content)
    except OSError as exc:
        raise InvalidInputError(f"{target} cannot be written: {exc.strerror}.") from exc
    return target
