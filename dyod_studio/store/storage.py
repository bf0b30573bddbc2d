"""All that a running studio writes: the database, the files, the folders of the runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dyod_studio.store.database import Database
from dyod_studio.store.files import FileStore


@dataclass(frozen=True)
class Storage:
    """An opened storage folder."""

    root: Path
    database: Database
    files: FileStore

    @property
    def cache_dir(self) -> Path:
        """Folder of what can be made again, such as encoded latents."""
        return self.root / "cache"

    @property
    def temporary_dir(self) -> Path:
        return self.root / "tmp"

    def run_dir(self, job_id: int) -> Path:
        """The folder of one job: log.txt, metrics.jsonl, previews/, checkpoints/."""
        return self.root / "jobs" / str(job_id)

    def log_path(self, job_id: int) -> Path:
        return self.run_dir(job_id) / "log.txt"

    def metrics_path(self, job_id: int) -> Path:
        """One JSON line a step: step, loss, learning_rate, samples_per_s."""
        return self.run_dir(job_id) / "metrics.jsonl"


@contextmanager
def open_storage(root: Path, database_url: str, *, migrate: bool = False) -> Iterator[Storage]:
    """A storage folder, open for as long as the block lasts; folders that lack are made.

    Args:
        migrate: bring the database up to date first, as whoever starts all others does.
    """
    root = root.resolve()
    for folder in ("files", "jobs", "cache", "tmp"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    database = Database(database_url)
    try:
        if migrate:
            database.migrate()
        yield Storage(root, database, FileStore(root / "files"))
    finally:
        database.dispose()
