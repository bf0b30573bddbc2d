"""Names for what the shape model tells apart, and places that a person wants to come back to."""

from typing import Any

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.sampling import AVERAGE, SEED_PREFIX, PointRequest
from dyod_studio.services.explore.service import MADE_PREFIX, SET_PREFIX, Explore
from dyod_studio.services.explore.views import BookmarkView, TraitView, point_to_json
from dyod_studio.services.projects import Projects
from dyod_studio.services.sampling.dispatcher import OnProgress
from dyod_studio.services.sampling.service import Sampling
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.bookmarks import BookmarkRepository, StoredImage
from dyod_studio.store.cleaning import FileName, remove_unreferenced
from dyod_studio.store.files import PNG, WEBP
from dyod_studio.store.records import Bookmark
from dyod_studio.store.storage import Storage

MAX_NAME = 60
LASTING = (SEED_PREFIX, SET_PREFIX, MADE_PREFIX)
"""What an origin begins with that will mean the same tomorrow."""


class Bookmarks:
    """A project's saved places and the names of its traits."""

    def __init__(
        self, storage: Storage, projects: Projects, sampling: Sampling, explore: Explore
    ) -> None:
        self._storage, self._projects = storage, projects
        self._sampling, self._explore = sampling, explore

    def traits(self, ref: int | str) -> list[TraitView]:
        """Every coordinate of the shape model, the one that tells most apart first."""
        project_id, views = self._projects.get(ref).id, self._sampling.coordinates(ref)
        with self._storage.database.session() as session:
            vae = _vae_of(session, project_id)
            names = BookmarkRepository(session).trait_names(project_id, vae)
        return [TraitView(view.rank, view.kl, names.get(view.rank, "")) for view in views]

    def name_trait(self, ref: int | str, rank: int, name: str) -> None:
        """Call a trait something; an empty name takes the old one away."""
        project_id, count = self._projects.get(ref).id, len(self._sampling.coordinates(ref))
        if not 0 <= rank < count:
            raise InvalidInputError(f"A trait lies in [0, {count - 1}], got {rank}.")
        name = _checked(name, is_needed=False)
        with self._storage.database.session() as session:
            vae = _vae_of(session, project_id)
            BookmarkRepository(session).name_trait(project_id, vae, rank, name)

    def save(
        self,
        ref: int | str,
        name: str,
        point: PointRequest,
        on_progress: OnProgress | None = None,
    ) -> BookmarkView:
        """Keep a place under a name, and its picture as a favourite of the gallery.

        Raises:
            InvalidInputError: the name is empty, too long or taken; or the origin is a mere file.
        """
        name = _checked(name)
        if point.origin != AVERAGE and not point.origin.startswith(LASTING):
            raise InvalidInputError(
                "A place that is saved begins at the average, a seed, or a picture of this "
                f"project, got {point.origin!r}: add the picture to the set first."
            )
        project_id = self._projects.get(ref).id
        with self._storage.database.session() as session:
            if BookmarkRepository(session).by_name(project_id, name):
                raise InvalidInputError(f"There is a place named {name!r} already: choose another.")
        plan = self._explore.point(ref, point)
        self._explore.prefetcher.draw(plan, on_progress)
        kept = self._explore.keep(ref, plan.steps[0].key, is_favorite=True)
        stored = point_to_json(point.replace(seed=plan.request.seed))
        vae = plan.request.artifacts["vae"]
        with self._storage.database.session() as session:
            picture = StoredImage(kept.sha256, kept.thumbnail.stem)
            row = BookmarkRepository(session).add(project_id, name, vae, stored, picture)
            return self._view(row, vae)

    def all(self, ref: int | str) -> list[BookmarkView]:
        """The saved places, the newest first."""
        project_id = self._projects.get(ref).id
        with self._storage.database.session() as session:
            vae = _vae_of(session, project_id)
            return [self._view(row, vae) for row in BookmarkRepository(session).all(project_id)]

    def get(self, ref: int | str, bookmark_id: int) -> BookmarkView:
        """One place.

        Raises:
            InvalidInputError: the shape model in which it lies is no longer in use.
        """
        project_id = self._projects.get(ref).id
        with self._storage.database.session() as session:
            row = BookmarkRepository(session).get(project_id, bookmark_id)
            view = self._view(row, _vae_of(session, project_id))
        if not view.is_reachable:
            raise InvalidInputError(
                f"The place {view.name!r} lies in an earlier shape model: choose that one again "
                "among the trained parts to go back there."
            )
        return view

    def delete(self, ref: int | str, bookmark_id: int) -> None:
        """Forget a place; its picture stays in the gallery."""
        project_id = self._projects.get(ref).id
        with self._storage.files.guard():
            with self._storage.database.session() as session:
                gone = BookmarkRepository(session).delete(project_id, bookmark_id)
            names = [FileName(gone.sha256, PNG), FileName(gone.thumbnail_sha256, WEBP)]
            remove_unreferenced(self._storage, names)

    def _view(self, row: Bookmark, vae_sha256: str) -> BookmarkView:
        thumbnail = self._storage.files.path(row.thumbnail_sha256, WEBP)
        is_reachable = row.vae_sha256 == vae_sha256
        return BookmarkView(
            row.id, row.name, thumbnail, dict(row.settings), is_reachable, row.created_at
        )


def _vae_of(session: Any, project_id: int) -> str:
    """The shape model in use; empty before there is one."""
    row = ArtifactRepository(session).latest(project_id, "vae")
    return "" if row is None else row.sha256


def _checked(name: str, *, is_needed: bool = True) -> str:
    name = " ".join(name.split())
    if len(name) > MAX_NAME or (is_needed and not name):
        low = 1 if is_needed else 0
        raise InvalidInputError(f"A name has {low} to {MAX_NAME} characters, got {len(name)}.")
    return name
