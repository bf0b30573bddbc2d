"""Projects: found by id or by name."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.store.records import Project
from dyod_studio.store.tables import ProjectRow


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
