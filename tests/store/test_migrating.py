import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from dyod_studio.errors import InvalidInputError
from dyod_studio.store import database as migrating
from dyod_studio.store.database import Database
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.store.tables import JobRow, ProjectRow

NEXT_VERSION = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = {newest!r}


def upgrade() -> None:
    with op.batch_alter_table("projects", recreate="always") as table:
        table.add_column(sa.Column("motto", sa.String(), nullable=True))
    {then}
"""


@pytest.fixture
def database(tmp_path: Path):
    opened = Database(f"sqlite:///{tmp_path / 'studio.db'}")
    opened.migrate()
    with opened.session() as session:
        project = ProjectRepository(session).add("chairs", base="starter", token="<chairs>")
        session.add(JobRow(project_id=project.id, kind="vae", config={}, num_steps=5))
    yield opened
    opened.dispose()


def release_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str = "pass") -> None:
    """Let the next release of the studio bring one more migration."""
    scripts = shutil.copytree(migrating.SCRIPTS_DIR, tmp_path / "migrations")
    text = NEXT_VERSION.format(newest=migrating.newest_revision(), then=then)
    (scripts / "versions" / "v9999_motto.py").write_text(text)
    monkeypatch.setattr(migrating, "SCRIPTS_DIR", scripts)


def columns(path: Path, table: str) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def test_the_models_and_the_migrated_schema_agree(database):
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, ProjectRow.metadata) == []


def test_ids_are_never_given_twice_in_the_migrated_schema(database):
    with database.session() as session:
        session.delete(session.get(ProjectRow, 1))
    with database.session() as session:
        assert ProjectRepository(session).add("lamps", base="starter", token="<lamps>").id == 2


def test_a_database_that_is_up_to_date_is_neither_changed_nor_backed_up(database, tmp_path):
    database.migrate()
    assert not list(tmp_path.glob("*.backup.db"))


def test_a_backup_holds_what_was_there_before_the_migration(database, tmp_path, monkeypatch):
    release_a_change(tmp_path, monkeypatch)
    database.migrate()
    (backup,) = tmp_path.glob("*.backup.db")
    assert "motto" in columns(tmp_path / "studio.db", "projects")
    assert "motto" not in columns(backup, "projects")
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT name FROM projects").fetchall() == [("chairs",)]


def test_making_a_table_anew_does_not_cascade_to_the_rows_below(database, tmp_path, monkeypatch):
    release_a_change(tmp_path, monkeypatch)
    database.migrate()
    with database.session() as session:
        assert session.get(JobRow, 1).project_id == 1
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []


def test_a_migration_that_fails_half_way_changes_nothing(database, tmp_path, monkeypatch):
    release_a_change(tmp_path, monkeypatch, then='raise RuntimeError("power cut")')
    with pytest.raises(RuntimeError, match="power cut"):
        database.migrate()
    assert "motto" not in columns(tmp_path / "studio.db", "projects")
    with database.session() as session:
        assert ProjectRepository(session).get(1).name == "chairs"


def test_a_database_of_a_newer_release_is_refused_in_one_sentence(database):
    with database.session() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '7777'")
    with pytest.raises(InvalidInputError, match=r"written by a newer release \(schema 7777\)"):
        database.migrate()


def test_two_processes_that_start_together_migrate_once(tmp_path):
    url = f"sqlite:///{tmp_path / 'new.db'}"
    script = f"from dyod_studio.store.database import Database; Database({url!r}).migrate()"
    together = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]
    assert [process.wait(60) for process in together] == [0, 0, 0]
    assert "token" in columns(tmp_path / "new.db", "projects")
