"""What is in the database, and what a run leaves on the disk."""

import json
import sqlite3
from datetime import UTC, datetime

from PIL import Image

from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.records import JobState


def rows_in(settings):
    """Everything in the database, to see that nothing changed."""
    with sqlite3.connect(settings.storage / "studio.db") as connection:
        return list(connection.iterdump())


def save_state(storage, job_id, step, loss, *, is_kept=False):
    """A checkpoint folder as a run writes it, as far as it is read without torch."""
    folder = storage.run_dir(job_id) / "checkpoints" / f"step_{step:06d}"
    (folder / "previews").mkdir(parents=True)
    for index in range(4):
        Image.new("RGB", (32, 32), (step % 256, 60 * index, 0)).save(
            folder / "previews" / f"{index}.png"
        )
    saved_at = datetime(2026, 1, 2, 3, 4, step % 60, tzinfo=UTC).timestamp()
    state = {"step": step, "loss": loss, "is_kept": is_kept, "saved_at": saved_at}
    (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")


def write_metrics(storage, job_id, losses):
    path = storage.metrics_path(job_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        {"step": step, "loss": loss, "learning_rate": 0.005, "samples_per_s": 4.0, "memory_mb": 900}
        for step, loss in losses
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def run(storage, job_id):
    """Claim queued jobs until this one runs, as a worker does on a device of its own."""
    with storage.database.session() as session:
        job = JobRepository(session).claim_next(f"device of {job_id}", "host")
        assert job is not None
        assert job.id == job_id


def end(storage, job_id, state=JobState.FAILED, **values):
    with storage.database.session() as session:
        JobRepository(session).move(job_id, state, **values)
