"""Run as ``python -m tests.jobs.full_disk FOLDER``, the folder being a small disk of its own.

A run fills the disk, the disk is made larger, and the run is tried again; what was seen is said in
one line of JSON. The database lies on the same disk.
"""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from dyod_studio.jobs import training as training_job
from dyod_studio.requests.part_kinds import PART_KINDS
from dyod_studio.settings import Settings
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.store.storage import open_storage
from dyod_studio.training.checkpoints import list_checkpoints
from tests.jobs import toy
from tests.jobs.conftest import Queue, train_here

CONFIG = {
    "steps": 9,
    "batch_size": 1,
    "checkpoint_every": 3,
    "preview_every": 100,
    "width": 3 << 18,
}


def main() -> dict[str, Any]:
    PART_KINDS["toy"] = toy.KIND
    training_job.load_inputs = toy.load_toys
    disk = Path(sys.argv[1])
    settings = Settings(storage=disk, device="cpu")
    with open_storage(settings.storage, settings.resolved_database_url, migrate=True) as storage:
        with storage.database.session() as session:
            project_id = ProjectRepository(session).add("chairs", base="toy", token="<chairs>").id
        job = train_here(settings, storage, project_id, "toy", CONFIG)
        said: dict[str, Any] = {"state": job.state, "error": job.error}
        said["steps"] = [
            checkpoint.step for checkpoint in list_checkpoints(storage.run_dir(job.id))
        ]
        with closing(sqlite3.connect(disk / "studio.db")) as database:
            (said["integrity"],) = database.execute("PRAGMA integrity_check").fetchone()
        subprocess.run(["mount", "-o", "remount,size=120m", str(disk)], check=True)
        queue = Queue(settings, storage, project_id)
        queue.change(lambda jobs: toy.retry(jobs, job.id, start_step=3))
        again = queue.claim()
        train_claimed(settings, again)
        whole = train_here(settings, storage, project_id, "toy", CONFIG)
        with storage.database.session() as session:
            kept = ArtifactRepository(session)
            files = {a.sha256 for job_id in (again, whole.id) for a in kept.of_job(job_id)}
    return said | {"again": queue.get(again).state, "is_identical": len(files) == 1}


def train_claimed(settings: Settings, job_id: int) -> None:
    from dyod_studio.jobs.child import run_child, train_job

    run_child(settings, job_id, train_job)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main()) + "\n")
