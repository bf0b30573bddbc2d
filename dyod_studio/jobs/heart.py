"""The heart of a job's process: it beats in a thread, whatever the training itself is at."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from dyod_studio.errors import StudioError
from dyod_studio.jobs.logs import read_tail
from dyod_studio.store.database import Database
from dyod_studio.store.job_rows import Owner
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.storage import Storage

BEAT_S = 5.0

logger = logging.getLogger(__name__)


@contextmanager
def beating(
    storage: Storage, database_url: str, job_id: int, owner: Owner, every_s: float = BEAT_S
) -> Iterator[None]:
    """Beat, on a connection of its own, as long as the block lasts."""
    rest = threading.Event()
    heart = Heart(storage, database_url, job_id, owner)
    thread = threading.Thread(target=heart.beat_until, args=(rest, every_s), daemon=True)
    thread.start()
    try:
        yield
    finally:
        rest.set()
        thread.join()


class Heart:
    """Says in the row that the owner's process lives, and shows the end of its log."""

    def __init__(self, storage: Storage, database_url: str, job_id: int, owner: Owner) -> None:
        self._log_path = storage.log_path(job_id)
        self._url, self._job_id, self._owner = database_url, job_id, owner

    def beat_until(self, rest: threading.Event, every_s: float) -> None:
        """Beat at once and then at this pace; a beat that fails is missed, the next may succeed."""
        database = Database(self._url)
        try:
            while True:
                try:
                    self._beat(database)
                except (StudioError, SQLAlchemyError, OSError) as exc:
                    logger.warning("A heartbeat was missed: %s", exc)
                if rest.wait(every_s):
                    return
        finally:
            database.dispose()

    def _beat(self, database: Database) -> None:
        tail = read_tail(self._log_path)
        with database.session() as session:
            JobRepository(session).beat(self._job_id, tail, self._owner)
