"""What may be asked of a job, by its state; the page and the command line offer nothing else."""

from dyod_studio.evaluation.plan import EVALUATION
from dyod_studio.store.tables import Job, JobState

BY_STATE: dict[JobState, tuple[str, ...]] = {
    JobState.QUEUED: ("pause", "move", "cancel"),
    JobState.RUNNING: ("pause", "save", "sample", "cancel"),
    JobState.PAUSED: ("resume", "move", "choose", "cancel"),
    JobState.SUCCEEDED: ("retry", "choose"),
    JobState.FAILED: ("retry", "choose"),
    JobState.CANCELLED: ("retry", "choose"),
}
OF_TRAINING = ("save", "sample", "choose")
"""What an evaluation cannot be asked for."""


def asked_of(job: Job) -> tuple[str, ...]:
    """What a running job was asked for and has not done yet."""
    if job.state is not JobState.RUNNING:
        return ()
    flags = {
        "cancel": job.cancel_requested,
        "pause": job.pause_requested,
        "save": job.save_requested,
        "sample": job.sample_requested,
    }
    return tuple(name for name, is_asked in flags.items() if is_asked)


def possible_for(job: Job) -> tuple[str, ...]:
    """What may be asked of the job now."""
    asked = asked_of(job)
    if "cancel" in asked:
        return ()
    left_out = (*asked, *_not_of(job))
    possible = tuple(name for name in BY_STATE[job.state] if name not in left_out)
    if job.is_finish_only and job.state is JobState.RUNNING:
        return ("cancel",)
    return ("resume", *possible) if "pause" in asked else possible


def _not_of(job: Job) -> tuple[str, ...]:
    """An evaluation is only asked for again while there is something left to measure."""
    if job.kind != EVALUATION:
        return ()
    return (*OF_TRAINING, "retry") if job.state is JobState.SUCCEEDED else OF_TRAINING
