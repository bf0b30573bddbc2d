"""One database: how it is opened, brought up to date, and how a transaction is held."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool

from dyod_studio.errors import DatabaseBusyError, StorageFullError
from dyod_studio.store.migrating import migrate

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
        with _told():
            migrate(self.engine, self.path)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction: committed when the block ends well, rolled back on any error.

        Raises:
            DatabaseBusyError: another process held the database for longer than the time-out.
            StorageFullError: the disk took no more; nothing was changed.
        """
        with _told(), self._sessions.begin() as session:
            yield session

    def dispose(self) -> None:
        """Close all connections; the next session opens new ones."""
        self.engine.dispose()


@contextmanager
def _told() -> Iterator[None]:
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
