"""The pictures of a set, in the order in which they came."""

from sqlalchemy import Select, func, select
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
        earlier = self.with_file(picture.project_id, picture.sha256)
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
        """The set: what is left out is no part of it."""
        return list(self._session.scalars(_set_of(project_id).order_by(Picture.id)))

    def page(self, project_id: int, *, offset: int = 0, limit: int = 60) -> list[Picture]:
        chosen = _set_of(project_id).order_by(Picture.id).offset(offset).limit(limit)
        return list(self._session.scalars(chosen))

    def count(self, project_id: int) -> int:
        chosen = _set_of(project_id).with_only_columns(func.count(Picture.id))
        return self._session.execute(chosen).scalar_one()

    def left_out(self, project_id: int) -> list[Picture]:
        """What was put aside: repetitions, and what a person does not want learned."""
        chosen = select(Picture).where(Picture.project_id == project_id, Picture.is_left_out)
        return list(self._session.scalars(chosen.order_by(Picture.id)))

    def with_file(self, project_id: int, sha256: str) -> Picture | None:
        """The picture of these bytes, in the set or left out."""
        same = select(Picture).where(Picture.project_id == project_id, Picture.sha256 == sha256)
        return self._session.scalars(same).one_or_none()

    def fingerprints(self, project_id: int) -> list[tuple[str, str, str]]:
        """(name, sha256, phash) of each picture: what a newcomer is compared with."""
        columns = select(Picture.name, Picture.sha256, Picture.phash)
        rows = self._session.execute(
            columns.where(Picture.project_id == project_id).order_by(Picture.id)
        )
        return [(name, sha256, phash) for name, sha256, phash in rows]


def _set_of(project_id: int) -> Select[Picture]:
    return select(Picture).where(Picture.project_id == project_id, Picture.is_left_out.is_(False))
