"""How far an evaluation is, written into its row; what is asked of it, obeyed at once."""

import time
from collections.abc import Sequence
from functools import partial

from dyod_studio.errors import TrainingCancelledError, TrainingPausedError
from dyod_studio.jobs.pace import Pace
from dyod_studio.jobs.retrying import patiently
from dyod_studio.store.job_requests import Asked
from dyod_studio.store.job_rows import Owner
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.storage import Storage
from dyod_studio.store.tables import Job, JobState

LOOK_EVERY_S = 0.5


class SweepProgress:
    """Counts finished pictures; a point that was measured before counts as made."""

    def __init__(self, storage: Storage, job: Job) -> None:
        self._storage, self._job = storage, job
        self._owner = Owner(job.host, job.pid)
        self._pace, self._last_look = Pace(), 0.0
        self.done = 0

    def advance(self, pictures: int) -> None:
        """Show that so many more pictures are made."""
        self.done += pictures
        patiently(self._show)

    def look(self, *_: object) -> None:
        """Stop when that was asked for; called after every denoiser call, and cheap.

        Raises:
            TrainingCancelledError: the job was cancelled, given to another process, or deleted.
            TrainingPausedError: it was asked to rest; the points that are measured are kept.
        """
        now = time.monotonic()
        if now - self._last_look < LOOK_EVERY_S:
            return
        self._last_look = now
        asked = patiently(self._asked)
        if asked is None or asked.cancel:
            raise TrainingCancelledError("This evaluation is not wanted any more.")
        if asked.pause:
            raise TrainingPausedError("This evaluation was asked to rest.")

    def note(self, sentences: Sequence[str]) -> None:
        """Say what happened on the way, each once."""
        for sentence in filter(None, sentences):
            patiently(partial(self._note, sentence))

    def succeed(self) -> None:
        """End the job.

        Raises:
            TrainingCancelledError: it was deleted or given to another process.
        """

        def write() -> None:
            with self._storage.database.session() as session:
                jobs = JobRepository(session)
                if jobs.asked(self._job.id, self._owner) is None:
                    raise TrainingCancelledError("This evaluation is another process's now.")
                jobs.move(self._job.id, JobState.SUCCEEDED, owner=self._owner)

        patiently(write)

    def _show(self) -> None:
        left = self._pace.seconds_left(self.done, self._job.num_steps, time.monotonic())
        with self._storage.database.session() as session:
            JobRepository(session).progress(
                self._job.id, self.done, loss=None, seconds_left=left, owner=self._owner
            )

    def _asked(self) -> Asked | None:
        with self._storage.database.session() as session:
            return JobRepository(session).asked(self._job.id, self._owner)

    def _note(self, sentence: str) -> None:
        with self._storage.database.session() as session:
            JobRepository(session).add_note(self._job.id, sentence)
