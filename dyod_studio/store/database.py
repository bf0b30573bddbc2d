"""One database: how it is opened, brought up to date, and how a transaction is held."""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Connection,
    DateTime,
    Dialect,
    Engine,
    TypeDecorator,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool

from dyod_studio.disk import write_beside_and_rename
from dyod_studio.errors import DatabaseBusyError, InvalidInputError, StorageFullError

__all__ = ["Database", "DatabaseFault", "Session"]

DatabaseFault = SQLAlchemyError
"""Anything that the database's driver raises."""

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
    with (
        write_beside_and_rename(target) as partial,
        closing(sqlite3.connect(source)) as live,
        closing(sqlite3.connect(partial)) as copy,
    ):
        live.backup(copy)
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


BUSY_TIMEOUT_S = 30.0


class Database:
    """A database by its SQLAlchemy URL; nothing is opened before it is used."""

    def __init__(self, url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.engine = _engine(url, busy_timeout_s)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @property
    def path(self) -> Path | None:
        """The SQLite file, or None for a database in memory or on a server."""
        return _sqlite_path(self.engine)

    def migrate(self) -> None:
        """Bring the schema up to date; a file that changes is backed up beside itself first."""
        with _translate_errors():
            migrate(self.engine, self.path)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction: committed when the block ends well, rolled back on any error.

        Raises:
            DatabaseBusyError: another process held the database for longer than the time-out.
            StorageFullError: the disk took no more; nothing was changed.
        """
        with _translate_errors(), self._sessions.begin() as session:
            yield session

    def dispose(self) -> None:
        """Close all connections; the next session opens new ones."""
        self.engine.dispose()


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except OperationalError as exc:
        if "disk is full" in str(exc.orig):
            raise StorageFullError(
                "The disk is full: the studio's database can take no more; make room."
            ) from exc
        if "locked" not in str(exc.orig) and "busy" not in str(exc.orig):
            raise
        raise DatabaseBusyError(
            "The studio's database is in use by another process; try again in a moment."
        ) from exc


def _engine(url: str, busy_timeout_s: float) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    arguments: dict[str, Any] = {"timeout": busy_timeout_s}
    if make_url(url).database in (None, "", ":memory:"):
        arguments["check_same_thread"] = False
        engine = create_engine(url, connect_args=arguments, poolclass=StaticPool)
    else:
        engine = create_engine(url, connect_args=arguments)
    event.listen(engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")


def _sqlite_path(engine: Engine) -> Path | None:
    name = engine.url.database
    if engine.url.get_backend_name() != "sqlite" or name in (None, "", ":memory:"):
        return None
    return Path(str(name))


T = TypeVar("T")

ROOM_POLL_S = 1.0

log = logging.getLogger(__name__)


def retry_while_busy(action: Callable[[], T]) -> T:
    """Repeat a whole transaction while another process holds the database.

    Each attempt waits as long as the database's own time-out.
    """
    while True:
        try:
            return action()
        except DatabaseBusyError as exc:
            log.warning("Trying again: %s", exc)


def retry_until_written(action: Callable[[], T]) -> T:
    """Repeat a whole transaction until it can be made, however long the disk is full.

    For what a row must say in the end; anything else had better fail.
    """
    while True:
        try:
            return retry_while_busy(action)
        except StorageFullError as exc:
            log.warning("Waiting for room: %s", exc)
            time.sleep(ROOM_POLL_S)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in Python, naive UTC in the database: SQLite forgets time zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)
