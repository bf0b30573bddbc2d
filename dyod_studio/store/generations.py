"""The gallery: every generated image with all that makes it again."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dyod_studio.errors import NotFoundError
from dyod_studio.store.tables import Generation


class GenerationRepository:
    """Reads and writes generations in the session it is given; the caller commits."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, generation: Generation) -> Generation:
        self._session.add(generation)
        self._session.flush()
        return generation

    def get(self, generation_id: int) -> Generation:
        generation = self._session.get(Generation, generation_id)
        if generation is None:
            raise NotFoundError(f"There is no generated image {generation_id}.")
        return generation

    def page(self, project_id: int, *, offset: int = 0, limit: int = 60) -> list[Generation]:
        """Some of the project's images, the newest first."""
        chosen = select(Generation).where(Generation.project_id == project_id)
        newest_first = chosen.order_by(Generation.id.desc())
        return list(self._session.scalars(newest_first.offset(offset).limit(limit)))

    def count(self, project_id: int) -> int:
        chosen = select(func.count(Generation.id)).where(Generation.project_id == project_id)
        return self._session.execute(chosen).scalar_one()

    def of_request(self, request_id: int) -> list[Generation]:
        """What one request made, in the order of its positions."""
        chosen = select(Generation).where(Generation.request_id == request_id)
        return list(self._session.scalars(chosen.order_by(Generation.position)))
