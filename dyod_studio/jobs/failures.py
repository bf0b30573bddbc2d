"""Causes of failed jobs and what a person can do about them, a sentence each."""

import signal
from dataclasses import dataclass

from dyod_studio.errors import (
    BaseModelError,
    DeviceError,
    InvalidInputError,
    NotFoundError,
    OutOfMemoryError,
    RejectedImageError,
    StorageFullError,
    StudioError,
    TrainingDivergedError,
)
from dyod_studio.training.checkpoints import FULL, SAFETENSORS_MESSAGES
from dyod_studio.training.oom_fallbacks import is_out_of_memory

TRAIN_AGAIN = "then train again with these settings: it goes on from the last checkpoint."
REMEDIES: dict[type[StudioError], str] = {
    StorageFullError: f"Make room on the disk that holds the studio's storage, {TRAIN_AGAIN}",
    OutOfMemoryError: f"Close other programs or choose a smaller batch, {TRAIN_AGAIN}",
    TrainingDivergedError: (
        "Halve the learning rate and train again; go on from a checkpoint before the loss jumped."
    ),
    BaseModelError: "Put the base model back where it was, or choose another one for the project.",
    DeviceError: "Run `python -m dyod_studio doctor`: it says what to install.",
    InvalidInputError: "Change what the message names, then train again.",
    NotFoundError: "It was deleted meanwhile: start a new run.",
}
"""The first class that fits the error gives the remedy."""
MISSING = (
    "Put the file back, or add the pictures again to a new project; "
    "then train again with these settings."
)
SPOILT = (
    "Put the storage folder back as it was, or make the project again from your own pictures; "
    "then train again with these settings."
)
FAULT = (
    "This is a fault of the studio: copy the report for its developers; the settings are kept, "
    "and training again with them goes on from the last checkpoint."
)
DIED = f"Look at the end of the log, close other programs, {TRAIN_AGAIN}"
UNSTARTED = "Make room in memory and check the installation with `doctor`, then train again."


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed, and the remedy."""

    cause: str
    remedy: str


def explain(exc: BaseException) -> Failure:
    """The failure that an exception stands for, wherever in the job it came from."""
    if isinstance(exc, RejectedImageError):
        return Failure(f"A picture of the set {exc}.", SPOILT)
    if isinstance(exc, StudioError):
        return Failure(str(exc), _remedy(exc))
    if _is_disk_full(exc):
        return Failure(f"The disk is full: {_first_line(exc)}.", REMEDIES[StorageFullError])
    if is_out_of_memory(exc):
        return Failure(f"The memory is full: {_first_line(exc)}", REMEDIES[OutOfMemoryError])
    if isinstance(exc, FileNotFoundError) and exc.filename is not None:
        return Failure(f"A file is missing: {exc.filename}.", MISSING)
    return Failure(_first_line(exc), FAULT)


def describe_end(exit_code: int | None, step: int, num_steps: int) -> str:
    """How a training process ended, as a sentence; the exit code is None when nobody saw it."""
    progress = f"after {step} of {num_steps} steps"
    if exit_code is None:
        return f"The training process ended {progress} while no worker watched it."
    if exit_code >= 0:
        return f"The training process ended with exit code {exit_code} {progress}."
    name = signal.Signals(-exit_code).name
    cause = ": the machine may have run out of memory" if name == "SIGKILL" else ""
    return f"The training process was ended by {name} {progress}{cause}."


def _is_disk_full(exc: BaseException) -> bool:
    """By the system's own code, or by what safetensors says of it."""
    if isinstance(exc, OSError):
        return exc.errno in FULL
    return any(message in str(exc) for message in SAFETENSORS_MESSAGES)


def _remedy(exc: StudioError) -> str:
    for kind, remedy in REMEDIES.items():
        if isinstance(exc, kind):
            return remedy
    return FAULT


def _first_line(exc: BaseException) -> str:
    """Type and message; what follows in a long message is in the log."""
    lines = str(exc).strip().splitlines()
    return f"{type(exc).__name__}: {lines[0]}" if lines else type(exc).__name__
