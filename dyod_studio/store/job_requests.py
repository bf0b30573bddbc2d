"""What a person asks of a job: flags in its row, which the process that runs it obeys."""

from typing import NamedTuple

from sqlalchemy import select

from dyod_studio.errors import JobStateError
from dyod_studio.store.job_rows import JobRows, Owner, owned_by
from dyod_studio.store.tables import Job, JobState, utc_now

QUEUED, RUNNING, PAUSED = JobState.QUEUED, JobState.RUNNING, JobState.PAUSED


class Asked(NamedTuple):
    """What is asked of a running job now."""

    cancel: bool
    pause: bool
    save: bool
    sample: bool


class JobRequests(JobRows):
    """Cancel, pause, resume, save now, sample now."""

    def asked(self, job_id: int, owner: Owner | None = None) -> Asked | None:
        """What is asked of a running job; None when it is not to be run (any more, by this one)."""
        flags = (
            Job.cancel_requested,
            Job.pause_requested,
            Job.save_requested,
            Job.sample_requested,
        )
        chosen = select(*flags).where(Job.id == job_id, Job.state == RUNNING, *owned_by(owner))
        row = self._session.execute(chosen).one_or_none()
        return None if row is None else Asked(*row)

    def is_wanted(self, job_id: int) -> bool:
        """Whether the job's process should go on: still there, running, not asked to stop."""
        asked = self.asked(job_id)
        return asked is not None and not asked.cancel

    def request_cancel(self, job_id: int) -> Job:
        """Cancel a waiting job at once; ask a running one to stop.

        Raises:
            JobStateError: the job has come to an end already.
        """
        ended = {"state": JobState.CANCELLED, "finished_at": utc_now(), "pause_requested": False}
        if self._change(
            job_id, Job.state.in_([QUEUED, PAUSED]), cancel_requested=True, **ended
        ) or self._change(job_id, Job.state == RUNNING, cancel_requested=True):
            return self.get(job_id)
        raise JobStateError(f"Job {job_id} is {self.get(job_id).state}; it cannot be cancelled.")

    def request_pause(self, job_id: int) -> Job:
        """Pause a queued job at once; ask a running one to save its state and rest.

        Raises:
            JobStateError: the job is paused, was asked to stop, or has come to an end.
        """
        if self._change(job_id, Job.state == QUEUED, state=PAUSED) or self._change(
            job_id, Job.state == RUNNING, Job.cancel_requested.is_(False), pause_requested=True
        ):
            return self.get(job_id)
        raise self._refusal(job_id, "paused")

    def resume(self, job_id: int) -> Job:
        """Queue a paused job again, at its old place; a pause not yet obeyed is taken back.

        Raises:
            JobStateError: the job is neither paused nor about to be.
        """
        if self._change(
            job_id, Job.state == PAUSED, state=QUEUED, attempts=0, pause_requested=False
        ) or self._change(
            job_id, Job.state == RUNNING, Job.pause_requested.is_(True), pause_requested=False
        ):
            return self.get(job_id)
        raise self._refusal(job_id, "resumed")

    def request_save(self, job_id: int) -> Job:
        """Ask a running job for a checkpoint at the end of its step.

        Raises:
            JobStateError: the job is not running, or was asked to stop.
        """
        return self._ask_running(job_id, "save_requested", "asked for a checkpoint")

    def request_sample(self, job_id: int) -> Job:
        """Ask a running job for preview pictures at the end of its step.

        Raises:
            JobStateError: the job is not running, or was asked to stop.
        """
        return self._ask_running(job_id, "sample_requested", "asked for pictures")

    def fulfil(self, job_id: int, *, save: bool = False, sample: bool = False) -> None:
        """Take back the requests that have been obeyed."""
        done = {"save_requested": False} if save else {}
        done |= {"sample_requested": False} if sample else {}
        if done:
            self._change(job_id, **done)

    def _ask_running(self, job_id: int, flag: str, what: str) -> Job:
        wanted = (Job.state == RUNNING, Job.cancel_requested.is_(False))
        if self._change(job_id, *wanted, **{flag: True}):
            return self.get(job_id)
        raise self._refusal(job_id, what)

    def _refusal(self, job_id: int, what: str) -> JobStateError:
        job = self.get(job_id)
        state = "being cancelled" if job.state is RUNNING and job.cancel_requested else job.state
        return JobStateError(f"Job {job_id} is {state}; it cannot be {what}.")
