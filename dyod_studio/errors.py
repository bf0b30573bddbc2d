"""Every deliberate exception. Its message is one sentence a designer can act on.

StudioError
├── InvalidInputError         the user can fix it: names the field, the value, what to do
│   ├── RejectedImageError    one picture cannot be used; the others are kept
│   └── BaseModelError        a base model cannot be loaded (missing, pickled, incomplete)
├── NotFoundError             there is no such project, job, picture or artifact
├── JobStateError             the job's state does not allow this move
├── DeviceError               the card and the installed PyTorch do not fit together
├── SamplerError              the sampler process died or is busy
│   └── SampleCancelledError  somebody asked that these pictures not be made
├── DatabaseBusyError         another process holds the database for too long
├── StorageFullError          the disk took no more; what was there before is as it was
└── TrainingError
    ├── TrainingDivergedError the loss is no longer a finite number
    ├── OutOfMemoryError      a step did not fit into the memory of its device
    ├── TrainingCancelledError the run was asked to stop
    └── TrainingPausedError   the run was asked to rest, and its state is saved
"""


class StudioError(Exception):
    """Base of all errors that are written for the user."""


class InvalidInputError(StudioError):
    """The user can fix it."""


class RejectedImageError(InvalidInputError):
    """One picture cannot be used; the message is the reason, without the file's name."""


class BaseModelError(InvalidInputError):
    """A base model cannot be loaded."""


class NotFoundError(StudioError):
    """Something that was asked for does not exist."""


class JobStateError(StudioError):
    """The state of a job does not allow what was asked."""


class DeviceError(StudioError):
    """The device cannot run what was asked of it."""


class SamplerError(StudioError):
    """The sampler process could not answer."""


class SampleCancelledError(SamplerError):
    """The request was cancelled."""


class DatabaseBusyError(StudioError):
    """Another process holds the database; nothing was changed."""


class StorageFullError(StudioError):
    """The disk took no more."""


class TrainingError(StudioError):
    """A training run cannot go on."""


class TrainingDivergedError(TrainingError):
    """The loss is not finite."""


class TrainingCancelledError(TrainingError):
    """The run was asked to stop."""


class TrainingPausedError(TrainingError):
    """The run was asked to rest; its whole state is saved."""


class OutOfMemoryError(TrainingError):
    """The memory of the device is too small. ``step`` is the step that did not fit."""

    def __init__(self, message: str, step: int = 0) -> None:
        super().__init__(message)
        self.step = step
