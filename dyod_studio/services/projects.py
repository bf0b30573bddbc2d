"""Projects and their pictures."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from dyod_studio.datasets.importing import PreparedPicture, import_pictures
from dyod_studio.datasets.outcomes import DuplicateFile, RejectedFile
from dyod_studio.errors import InvalidInputError
from dyod_studio.models.references import check_base_ref
from dyod_studio.requests.cropping import CropMode
from dyod_studio.requests.part_kinds import PART_KINDS, check_tokens, part_kinds
from dyod_studio.requests.sampling import STARTER
from dyod_studio.services.views import (
    ImportReport,
    PictureView,
    ProjectView,
    picture_view,
    project_view,
)
from dyod_studio.settings import ASSETS_DIR, STARTER_DIR
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.cleaning import delete_project
from dyod_studio.store.database import Session
from dyod_studio.store.files import WEBP, FileStore
from dyod_studio.store.projects import PictureRepository, ProjectRepository
from dyod_studio.store.records import Artifact, Picture
from dyod_studio.store.storage import Storage

MAX_NAME_LENGTH = 80
IMPORT_PORTION = 50
"""Pictures written in one transaction: an import that is broken off keeps what it finished."""

OnProgress = Callable[[int, int | None], None]
"""Called with (files looked at, files in all or None while that is unknown)."""


class Projects:
    """Make, list and delete projects; put pictures in."""

    def __init__(self, storage: Storage, default_base: str) -> None:
        self._storage, self._default_base = storage, default_base

    def create(self, name: str, base: str | None = None) -> ProjectView:
        """A new, empty project on a base model.

        Raises:
            InvalidInputError: the name is empty, too long, a bare number or taken, or the base
                cannot be loaded.
        """
        name = " ".join(name.split())
        if not 1 <= len(name) <= MAX_NAME_LENGTH:
            raise InvalidInputError(
                f"A project's name has 1 to {MAX_NAME_LENGTH} characters, got {len(name)}."
            )
        if name.isdecimal():
            raise InvalidInputError(f"A project's name must not be a bare number, got {name!r}.")
        chosen = base or self._default_base
        check_base_ref(chosen, STARTER_DIR)
        local = Path(chosen).expanduser()
        if chosen != STARTER and local.exists():
            chosen = str(local.resolve())
        with self._storage.database.session() as session:
            row = ProjectRepository(session).add(name, base=chosen, token=token_for(name))
            return project_view(self._storage, session, row)

    def all(self) -> list[ProjectView]:
        """Every project, as the store orders them."""
        with self._storage.database.session() as session:
            rows = ProjectRepository(session).all()
            return [project_view(self._storage, session, row) for row in rows]

    def get(self, ref: int | str) -> ProjectView:
        """One project by name or id.

        Raises:
            NotFoundError: there is no such project.
        """
        with self._storage.database.session() as session:
            row = ProjectRepository(session).find(ref)
            return project_view(self._storage, session, row)

    def delete(self, ref: int | str) -> None:
        """Remove the project, its rows, and every file that nothing else names."""
        delete_project(self._storage, self.get(ref).id)

    def pictures(self, ref: int | str, offset: int = 0, limit: int = 60) -> list[PictureView]:
        """A page of the set, in the order it was added."""
        project_id = self.get(ref).id
        with self._storage.database.session() as session:
            rows = PictureRepository(session).page(project_id, offset=offset, limit=limit)
            return [picture_view(self._storage, row) for row in rows]

    def add_examples(self, ref: int | str) -> ImportReport:
        """Add the example pictures that the studio ships."""
        return self.add_pictures(ref, [ASSETS_DIR / "examples" / "faces"])

    def add_pictures(
        self, ref: int | str, paths: Sequence[Path], on_progress: OnProgress | None = None
    ) -> ImportReport:
        """Check and add pictures from files, folders and ZIP archives.

        Raises:
            InvalidInputError: a path does not exist; nothing has been added then.
        """
        for path in paths:
            if not path.exists():
                raise InvalidInputError(f"There is no file or folder {str(path)!r}.")
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            known = PictureRepository(session).fingerprints(project.id)
        report = _Report()
        with TemporaryDirectory(dir=self._storage.temporary_dir) as work_dir:
            found = import_pictures(
                paths,
                Path(work_dir),
                known=known,
                crop_mode=CropMode(project.crop_mode),
                on_progress=on_progress or _ignore_progress,
            )
            for portion in _portions(report.kept_of(found)):
                self._keep(project.id, portion)
        return report.finished()

    def _keep(self, project_id: int, portion: list[PreparedPicture]) -> None:
        """Write a portion: the files first, so that nobody waits for a disk to write a row."""
        files = self._storage.files
        with files.guard():
            rows = [_row_of(project_id, prepared, files) for prepared in portion]
            with self._storage.database.session() as session:
                pictures = PictureRepository(session)
                for row in rows:
                    pictures.add(row)


def _row_of(project_id: int, prepared: PreparedPicture, files: FileStore) -> Picture:
    """The row of a picture whose files have just been stored."""
    stored = files.add_file(prepared.path, prepared.suffix)
    thumbnail = files.add_bytes(prepared.thumbnail, WEBP)
    return Picture(
        project_id=project_id,
        name=prepared.name,
        sha256=stored.sha256,
        phash=prepared.phash,
        suffix=stored.path.suffix,
        width=prepared.width,
        height=prepared.height,
        crop_left=prepared.crop.left,
        crop_top=prepared.crop.top,
        crop_side=prepared.crop.side,
        thumbnail_sha256=thumbnail.sha256,
        sharpness=prepared.sharpness,
        ground=prepared.ground,
        caption=prepared.caption or None,
        repeats_sha256=prepared.repeats.sha256 if prepared.repeats else None,
        is_left_out=prepared.repeats is not None,
    )


class _Report:
    """Collects what was not taken while the rest passes through."""

    def __init__(self) -> None:
        self._accepted = 0
        self._rejected: list[RejectedFile] = []
        self._duplicates: list[DuplicateFile] = []

    def kept_of(
        self, found: Iterable[PreparedPicture | RejectedFile | DuplicateFile]
    ) -> Iterator[PreparedPicture]:
        for item in found:
            if isinstance(item, RejectedFile):
                self._rejected.append(item)
            elif isinstance(item, DuplicateFile):
                self._duplicates.append(item)
            elif item.repeats is not None:
                self._duplicates.append(DuplicateFile(item.name, item.repeats.name))
                yield item
            else:
                self._accepted += 1
                yield item

    def finished(self) -> ImportReport:
        return ImportReport(self._accepted, tuple(self._rejected), tuple(self._duplicates))


def token_for(name: str) -> str:
    """The pseudo-word of a project: ``Toy Heads`` -> ``<toy-heads>``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    return f"<{slug or 'set'}>"


def _portions(pictures: Iterable[PreparedPicture]) -> Iterator[list[PreparedPicture]]:
    source = iter(pictures)
    while portion := list(islice(source, IMPORT_PORTION)):
        yield portion


def _ignore_progress(done: int, total: int | None) -> None:
    """Nobody watches this import."""


def choose_parts(
    session: Session,
    project: ProjectView,
    use: Sequence[str] | None,
    *,
    needed: Sequence[str] = (),
) -> dict[str, Artifact]:
    """The newest of each part that is used, by its kind.

    Args:
        use: their kinds; None for what is usual.
        needed: kinds that are used whether they are named or not.

    Raises:
        InvalidInputError: one of them is not trained, or they do not go together.
    """
    asked = project.default_parts if use is None else use
    kinds = [kind for kind in part_kinds() if kind in asked or kind in needed]
    repository, chosen = ArtifactRepository(session), {}
    for kind in kinds:
        row = repository.latest(project.id, kind)
        if row is None:
            lack = f"imported {kind} yet: import a file"
            if PART_KINDS[kind].method is not None:
                lack = f"trained {kind} yet: train {kind!r}"
            raise InvalidInputError(f"Project {project.name!r} has no {lack} first.")
        chosen[kind] = row
    idle = [kind for kind in chosen if PART_KINDS[kind].follows_lines and kind not in needed]
    if idle:
        raise InvalidInputError(
            f"The {idle[0]} follows the lines of a drawing: give one, or leave it out."
        )
    check_tokens({kind: row.config for kind, row in chosen.items()})
    return chosen


def check_conditionable(parts: Mapping[str, Artifact]) -> None:
    """Refuse condition pictures and texts where nothing in use draws after them."""
    if "anl" not in parts:
        raise InvalidInputError(
            "Only an anl draws after condition pictures or a condition text: "
            "train 'anl' first, and name it among the parts to use."
        )
    if parts["anl"].config.get("variant") == "unconditional":
        raise InvalidInputError(
            "The anl of this project was trained without a condition: "
            "leave condition pictures and texts out."
        )
