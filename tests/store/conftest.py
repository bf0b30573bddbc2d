from collections.abc import Iterator
from pathlib import Path

import pytest

from dyod_studio.store.database import Database
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.store.storage import Storage, open_storage


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with open_storage(
        tmp_path / "storage", f"sqlite:///{tmp_path / 'storage' / 'studio.db'}", migrate=True
    ) as opened:
        yield opened


@pytest.fixture(params=["in memory", "in a file"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A real SQLite database of the current schema."""
    in_memory = request.param == "in memory"
    opened = Database("sqlite://" if in_memory else f"sqlite:///{tmp_path / 'studio.db'}")
    opened.migrate()
    yield opened
    opened.dispose()


@pytest.fixture
def project_id(database: Database) -> int:
    with database.session() as session:
        return ProjectRepository(session).add("chairs", base="starter", token="<chairs>").id
