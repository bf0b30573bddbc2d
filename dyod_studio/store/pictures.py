"""The pictures of a set, in the order in which they came."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dyod_studio.errors import NotFoundError
from dyod_studio.store.tables import Picture, Project


class PictureRepository:
    """Reads and writes pictures in the session it is given; the caller commits."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, picture: Picture) -> Picture:
        """Add a picture; the one that has the same bytes already stays the only one.

        Raises:
            NotFoundError: the project was deleted meanwhile.
        """
        if self._session.get(Project, picture.project_id) is None:
            raise NotFoundError(f"There is no project {picture.project_id}.")
        same = select(Picture).where(
            Picture.project_id == picture.project_id, Picture.sha256 == picture.sha256
        )
        earlier = self._session.scalars(same).one_or_none()
        if earlier is not None:
            return earlier
        self._session.add(picture)
        self._session.flush()
        return picture

    def get(self, picture_id: int) -> Picture:
        picture = self._session.get(Picture, picture_id)
        if picture is None:
            raise NotFoundError(f"There is no picture {picture_id}.")
        return picture

    def all(self, project_id: int) -> list[Picture]:
        chosen = select(Picture).where(Picture.project_id == project_id)
        return list(self._session.scalars(chosen.order_by(Picture.id)))

    def page(self, project_id: int, *, offset: int = 0, limit: int = 60) -> list[Picture]:
        chosen = select(Picture).where(Picture.project_id == project_id)
        return list(self._session.scalars(chosen.order_by(Picture.id).offset(offset).limit(limit)))

    def count(self, project_id: int) -> int:
        chosen = select(func.count(Picture.id)).where(Picture.project_id == project_id)
        return self._session.execute(chosen).scalar_one()

    def fingerprints(self, project_id: int) -> list[tuple[str, str, str]]:
        """(name, sha256, phash) of each picture: what a newcomer is compared with."""
        columns = select(Picture.name, Picture.sha256, Picture.phash)
        rows = self._session.execute(
            columns.where(Picture.project_id == project_id).order_by(Picture.id)
        )
        return [(name, sha256, phash) for name, sha256, phash in rows]
