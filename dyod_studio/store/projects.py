"""Projects: found by id or by name."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.store.tables import Project


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
        project = Project(name=name, base=base, token=token)
        self._session.add(project)
        self._session.flush()
        return project

    def get(self, project_id: int) -> Project:
        project = self._session.get(Project, project_id)
        if project is None:
            raise NotFoundError(f"There is no project {project_id}.")
        return project

    def find(self, ref: int | str) -> Project:
        """The project of this name, else of this id."""
        if isinstance(ref, int):
            return self.get(ref)
        named = self._named(ref)
        if named is not None:
            return named
        if ref.isascii() and ref.isdigit() and len(ref) < 19:
            return self.get(int(ref))
        raise NotFoundError(f"There is no project called {ref!r}.")

    def all(self) -> list[Project]:
        """Every project, the oldest first."""
        return list(self._session.scalars(select(Project).order_by(Project.id)))

    def _named(self, name: str) -> Project | None:
        return self._session.scalars(select(Project).where(Project.name == name)).one_or_none()
