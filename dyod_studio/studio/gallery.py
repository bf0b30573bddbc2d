"""Everything that was made."""

from dyod_studio.store.generations import GenerationRepository
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.store.storage import Storage
from dyod_studio.studio.mapping import generation_view
from dyod_studio.studio.views import GenerationView


class Gallery:
    """Pages of a project's generated pictures, newest first."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def page(self, ref: int | str, offset: int = 0, limit: int = 60) -> list[GenerationView]:
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            rows = GenerationRepository(session).page(project.id, offset=offset, limit=limit)
            return [generation_view(self._storage, row) for row in rows]

    def count(self, ref: int | str) -> int:
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            return GenerationRepository(session).count(project.id)
