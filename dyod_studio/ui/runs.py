"""Which training runs are shown, in which order, and which of them is looked at."""

from collections.abc import Iterable, Sequence

from dyod_studio.services.views import JobView

NEWEST = 0
"""Choice of the run to look at: the one that trains now, else the newest."""
MAX_ENDED = 12


def in_order(own: Sequence[JobView], others: Iterable[JobView]) -> list[JobView]:
    """What trains, what waits in its order in all projects, then what has ended here."""
    open_jobs = [job for job in (*own, *others) if not job.is_final]
    open_jobs.sort(key=lambda job: (job.state != "running", job.place or 0, job.id))
    ended = sorted((job for job in own if job.is_final), key=lambda job: -job.id)
    return [*open_jobs, *ended[:MAX_ENDED]]


def watched_job(jobs: Sequence[JobView], watched: int | None) -> JobView | None:
    """The run that was asked for; else the one that trains, waits next, rests, or ended last."""
    asked = [job for job in jobs if job.id == watched]
    running = [job for job in jobs if job.state == "running"]
    waiting = sorted(
        (job for job in jobs if job.state in ("queued", "paused")),
        key=lambda job: (job.state == "paused", job.place or 0, job.id),
    )
    newest = sorted(jobs, key=lambda job: job.id, reverse=True)
    return next(iter([*asked, *running, *waiting, *newest]), None)
