"""What a training run tells whoever iterates over it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PicturesPrepared:
    """Before the first step: ``done`` of ``total`` are ready, of the set unless ``what`` says else.

    Pictures of the set are cropped, resized and encoded.
    """

    done: int
    total: int
    what: str = "pictures"


@dataclass(frozen=True, slots=True)
class StepDone:
    """One optimiser update has been applied. ``step`` counts finished updates, from 1.

    ``memory_mb`` is the most that the process has held so far: resident on the CPU, reserved on
    the card.
    """

    step: int
    num_steps: int
    loss: float
    learning_rate: float
    samples_per_s: float
    memory_mb: float = 0.0


@dataclass(frozen=True, slots=True)
class PreviewsReady:
    """``paths`` are complete PNG files made with the same seeds at every preview."""

    step: int
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class PreviewsFailed:
    """No preview pictures could be made, for ``reason``; the run goes on as if none were wanted."""

    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """What the run has decided by itself, in a sentence for whoever started it."""

    text: str


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """``path`` is a complete folder with the whole state of the run after ``step`` updates.

    ``loss`` is the mean of the steps before it, as it is written in the checkpoint.
    """

    step: int
    path: Path
    loss: float


@dataclass(frozen=True, slots=True)
class ArtifactReady:
    """The run's result: a complete .safetensors file. Always the last event."""

    kind: str
    path: Path


Event = (
    PicturesPrepared
    | StepDone
    | PreviewsReady
    | PreviewsFailed
    | Note
    | CheckpointSaved
    | ArtifactReady
)
