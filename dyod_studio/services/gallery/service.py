"""Everything that was made: found again, kept as a favourite, binned, brought back."""

from collections.abc import Collection, Sequence
from datetime import timedelta

from dyod_studio.errors import InvalidInputError
from dyod_studio.services.gallery.provenance import provenance_of
from dyod_studio.services.gallery.views import EVERYTHING, GalleryFilter, PartView
from dyod_studio.services.views import GenerationView, Provenance, generation_view
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.cleaning import purge_bin
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.store.records import utc_now
from dyod_studio.store.requests import GenerationRepository
from dyod_studio.store.storage import Storage

BIN_DAYS = 7
"""How long a deleted picture can be brought back."""


class Gallery:
    """A project's generated pictures, newest first."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def page(
        self,
        ref: int | str,
        offset: int = 0,
        limit: int = 60,
        asked: GalleryFilter = EVERYTHING,
    ) -> list[GenerationView]:
        """Some of the pictures that the filter lets pass."""
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            images = GenerationRepository(session)
            rows = images.page(project.id, offset=offset, limit=limit, query=asked.query())
            return [generation_view(self._storage, row) for row in rows]

    def count(self, ref: int | str, asked: GalleryFilter = EVERYTHING) -> int:
        """How many pictures the filter lets pass."""
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            return GenerationRepository(session).count(project.id, asked.query())

    def ids(self, ref: int | str, asked: GalleryFilter = EVERYTHING) -> list[int]:
        """The number of every picture that the filter lets pass."""
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            return GenerationRepository(session).ids(project.id, query=asked.query())

    def of_ids(self, ref: int | str, ids: Sequence[int]) -> list[GenerationView]:
        """These pictures, in this order.

        Raises:
            NotFoundError: one of them is not the project's.
        """
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            rows = GenerationRepository(session).of_ids(project.id, ids)
            return [generation_view(self._storage, row) for row in rows]

    def kinds(self, ref: int | str) -> list[str]:
        """The kinds of picture there are, the bin's included."""
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            return GenerationRepository(session).kinds(project.id)

    def parts(self, ref: int | str) -> list[PartView]:
        """The trained parts that pictures were drawn with, by kind and the newest first."""
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            used = GenerationRepository(session).parts(project.id)
            rows = ArtifactRepository(session).of_project(project.id)
            ages = {row.sha256: (row.id, row.created_at) for row in rows}
        newest_first = sorted(used, key=lambda part: (part[0], -ages.get(part[1], (0,))[0]))
        return [
            PartView(kind, sha256, ages[sha256][1] if sha256 in ages else None)
            for kind, sha256 in newest_first
        ]

    def favorite(self, generation_id: int, *, is_favorite: bool = True) -> GenerationView:
        """Mark a picture as a favourite, or take the mark away.

        Raises:
            NotFoundError: there is no such picture.
        """
        with self._storage.database.session() as session:
            images = GenerationRepository(session)
            project_id = images.get(generation_id).project_id
            images.set_favorite(project_id, [generation_id], is_favorite)
            return generation_view(self._storage, images.get(generation_id))

    def mark(self, ref: int | str, ids: Collection[int], *, is_favorite: bool) -> None:
        """Mark pictures as favourites, or take the marks away.

        Raises:
            InvalidInputError: none is named. NotFoundError: one of them is not the project's.
        """
        _check_chosen(ids)
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            GenerationRepository(session).set_favorite(project.id, ids, is_favorite)

    def delete(self, ref: int | str, ids: Collection[int]) -> None:
        """Put pictures into the bin; what lay there for a week already is removed for good.

        Raises:
            InvalidInputError: none is named. NotFoundError: one of them is not the project's.
        """
        self._move(ref, ids, into_bin=True)
        self.empty_bin()

    def restore(self, ref: int | str, ids: Collection[int]) -> None:
        """Bring pictures back out of the bin."""
        self._move(ref, ids, into_bin=False)

    def empty_bin(self) -> int:
        """Remove what was deleted more than a week ago; returns how many pictures that were."""
        return purge_bin(self._storage, before=utc_now() - timedelta(days=BIN_DAYS))

    def provenance(self, generation_id: int) -> Provenance:
        """All that the screen which made the picture needs to stand as it stood then.

        Raises:
            NotFoundError: there is no such picture.
            InvalidInputError: this release makes no picture of its kind.
        """
        with self._storage.database.session() as session:
            row = GenerationRepository(session).get(generation_id)
            metadata = {**row.parameters, "kind": row.kind}
            return provenance_of(
                self._storage, session, row.project_id, metadata, generation_id=row.id
            )

    def _move(self, ref: int | str, ids: Collection[int], *, into_bin: bool) -> None:
        _check_chosen(ids)
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            GenerationRepository(session).set_deleted(project.id, ids, into_bin)


def _check_chosen(ids: Collection[int]) -> None:
    if not ids:
        raise InvalidInputError("Choose at least one picture first.")
