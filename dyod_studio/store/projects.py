"""Projects, found by id or by name, and the pictures of their sets in the order they came."""

from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.store.records import Picture, Project
from dyod_studio.store.tables import PictureRow, ProjectRow


class ProjectRepository:
    """Reads and writes projects in the session it is given; the caller commits."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, name: str, *, base: str, token: str) -> Project:
        """A new project.

        Raises:
            InvalidInputError: the name is taken.
        """
        if self._named(name) is not None:
            raise InvalidInputError(f"There is already a project called {name!r}.")
        project = ProjectRow(name=name, base=base, token=token)
        self._session.add(project)
        self._session.flush()
        return Project.of(project)

    def get(self, project_id: int) -> Project:
        return Project.of(self._row(project_id))

    def confirm_rights(self, project_id: int, at: datetime | None) -> None:
        """Note since when the pictures may be used for training; None takes it back."""
        self._row(project_id).rights_confirmed_at = at

    def crop_as(self, project_id: int, crop_mode: str) -> None:
        """Choose what is learned of pictures that are no squares."""
        self._row(project_id).crop_mode = crop_mode

    def _row(self, project_id: int) -> ProjectRow:
        project = self._session.get(ProjectRow, project_id)
        if project is None:
            raise NotFoundError(f"There is no project {project_id}.")
        return project

    def find(self, ref: int | str) -> Project:
        """The project of this name, else of this id."""
        if isinstance(ref, int):
            return self.get(ref)
        named = self._named(ref)
        if named is not None:
            return Project.of(named)
        if ref.isascii() and ref.isdigit() and len(ref) < 19:
            return self.get(int(ref))
        raise NotFoundError(f"There is no project called {ref!r}.")

    def all(self) -> list[Project]:
        """Every project, the oldest first."""
        rows = self._session.scalars(select(ProjectRow).order_by(ProjectRow.id))
        return [Project.of(row) for row in rows]

    def _named(self, name: str) -> ProjectRow | None:
        return self._session.scalars(
            select(ProjectRow).where(ProjectRow.name == name)
        ).one_or_none()


class PictureRepository:
    """Reads and writes pictures in the session it is given; the caller commits."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, picture: Picture) -> Picture:
        """Add a picture; the one that has the same bytes already stays the only one.

        Raises:
            NotFoundError: the project was deleted meanwhile.
        """
        if self._session.get(ProjectRow, picture.project_id) is None:
            raise NotFoundError(f"There is no project {picture.project_id}.")
        earlier = self.with_file(picture.project_id, picture.sha256)
        if earlier is not None:
            return earlier
        row = PictureRow(**picture.columns())
        self._session.add(row)
        self._session.flush()
        return Picture.of(row)

    def get(self, picture_id: int) -> Picture:
        return Picture.of(self._row(picture_id))

    def change(self, picture_id: int, **columns: Any) -> Picture:
        """Set its crop, its caption, or whether it is left out."""
        row = self._row(picture_id)
        for name, value in columns.items():
            setattr(row, name, value)
        return Picture.of(row)

    def _row(self, picture_id: int) -> PictureRow:
        picture = self._session.get(PictureRow, picture_id)
        if picture is None:
            raise NotFoundError(f"There is no picture {picture_id}.")
        return picture

    def all(self, project_id: int) -> list[Picture]:
        """The set: what is left out is no part of it."""
        return self._records(_set_of(project_id).order_by(PictureRow.id))

    def page(self, project_id: int, *, offset: int = 0, limit: int = 60) -> list[Picture]:
        chosen = _set_of(project_id).order_by(PictureRow.id).offset(offset).limit(limit)
        return self._records(chosen)

    def count(self, project_id: int) -> int:
        chosen = _set_of(project_id).with_only_columns(func.count(PictureRow.id))
        return self._session.execute(chosen).scalar_one()

    def left_out(self, project_id: int) -> list[Picture]:
        """Pictures put aside: repetitions, and what a person does not want learned."""
        chosen = select(PictureRow).where(
            PictureRow.project_id == project_id, PictureRow.is_left_out
        )
        return self._records(chosen.order_by(PictureRow.id))

    def with_file(self, project_id: int, sha256: str) -> Picture | None:
        """The picture of these bytes, in the set or left out."""
        same = select(PictureRow).where(
            PictureRow.project_id == project_id, PictureRow.sha256 == sha256
        )
        row = self._session.scalars(same).one_or_none()
        return None if row is None else Picture.of(row)

    def fingerprints(self, project_id: int) -> list[tuple[str, str, str]]:
        """(name, sha256, phash) of each picture: what a newcomer is compared with."""
        columns = select(PictureRow.name, PictureRow.sha256, PictureRow.phash)
        rows = self._session.execute(
            columns.where(PictureRow.project_id == project_id).order_by(PictureRow.id)
        )
        return [(name, sha256, phash) for name, sha256, phash in rows]

    def _records(self, chosen: Select[PictureRow]) -> list[Picture]:
        return [Picture.of(row) for row in self._session.scalars(chosen)]


def _set_of(project_id: int) -> Select[PictureRow]:
    return select(PictureRow).where(
        PictureRow.project_id == project_id, PictureRow.is_left_out.is_(False)
    )
