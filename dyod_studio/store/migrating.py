"""Run the migrations that a database lacks, all or none, with a copy kept of what was there."""

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from dyod_studio.errors import InvalidInputError

SCRIPTS_DIR = Path(__file__).parent / "migrations"


def migrate(engine: Engine, path: Path | None) -> None:
    """Bring the schema to the newest revision.

    Args:
        path: the SQLite file, or None for a database in memory or on a server.

    Raises:
        InvalidInputError: the database was written by a newer release.
    """
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    if engine.dialect.name == "sqlite":
        _migrate_sqlite(engine, path)
    else:
        with engine.begin() as connection:
            _upgrade(connection)


def _migrate_sqlite(engine: Engine, path: Path | None) -> None:
    """One exclusive transaction, so that two processes that start together migrate once.

    Foreign keys rest meanwhile: SQLite changes a table by making it anew, and dropping the old
    one would cascade. The pragma is ignored within a transaction, hence AUTOCOMMIT and the BEGIN.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            revision = _revision(connection)
            if path is not None and revision not in (None, newest_revision()):
                back_up(path, path.with_name(f"{path.stem}-{revision}-{_stamp()}.backup.db"))
            _upgrade(connection)
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        finally:
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")


def newest_revision() -> str | None:
    """The revision that this release works with."""
    return ScriptDirectory(str(SCRIPTS_DIR)).get_current_head()


def back_up(source: Path, target: Path) -> Path:
    """Copy a live SQLite database, with what still stands in its write-ahead log."""
    partial = target.with_name(target.name + ".partial")
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(partial)) as copy:
        live.backup(copy)
    os.replace(partial, target)
    return target


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> None:
    revision = _revision(connection)
    known = {script.revision for script in ScriptDirectory(str(SCRIPTS_DIR)).walk_revisions()}
    if revision is not None and revision not in known:
        raise InvalidInputError(
            f"This database was written by a newer release (schema {revision}); "
            "update the studio, or use another storage folder."
        )
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS_DIR).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
