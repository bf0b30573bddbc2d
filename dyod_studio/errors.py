"""Every deliberate exception. Its message is one sentence a designer can act on.

StudioError
├── InvalidInputError         the user can fix it: names the field, the value, what to do
│   ├── RejectedImageError    one picture cannot be used; the others are kept
│   └── BaseModelError        a base model cannot be loaded (missing, pickled, incomplete)
├── NotFoundError             there is no such project, job, picture or artifact
├── JobStateError             the job's state does not allow this move
├── DeviceError               the card and the installed PyTorch do not fit together
├── SamplerError              the sampler process died or is busy
├── DatabaseBusyError         another process holds the database for too long
└── TrainingError
    ├── TrainingDivergedError the loss is no longer a finite number
    └── TrainingCancelledError the run was asked to stop
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
    """What was asked for does not exist."""


class JobStateError(StudioError):
    """The state of a job does not allow what was asked."""


class DeviceError(StudioError):
    """The device cannot run what was asked of it."""


class SamplerError(StudioError):
    """The sampler process could not answer."""


class DatabaseBusyError(StudioError):
    """Another process holds the database; nothing was changed."""


class TrainingError(StudioError):
    """A training run cannot go on."""


class TrainingDivergedError(TrainingError):
    """The loss is not finite."""


class TrainingCancelledError(TrainingError):
    """The run was asked to stop."""
