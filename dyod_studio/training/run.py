"""Where a run writes, where it goes on from, what it is asked meanwhile, how it saves memory."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class RunControl:
    """Requests to a run in progress, handled when the step at hand is finished.

    Args:
        save_now: keep a checkpoint of this moment, with its previews, for good.
        sample_now: make preview pictures.
        pause: save the state without previews; the caller then asks for no further event.
    """

    save_now: bool = False
    sample_now: bool = False
    pause: bool = False


def no_control() -> RunControl:
    """Nobody wants anything."""
    return RunControl()


@dataclass(frozen=True, slots=True)
class Adjustments:
    """Changes so that a run fits into memory; none of it changes what is learned.

    Args:
        accumulation: shares that a batch is computed in; more shares need less memory.
        gradient_checkpointing: activations are computed again on the way back, not kept.
        previews: whether preview pictures are made.
        resolution: pixels along one side, when smaller than the base model's own.
    """

    accumulation: int = 1
    gradient_checkpointing: bool = False
    previews: bool = True
    resolution: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """For a JSON column; :meth:`from_dict` reads it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Adjustments":
        """Adjustments from what :meth:`as_dict` gave; an empty mapping is no adjustment at all."""
        return cls(**values)


UNCHANGED = Adjustments()


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt at a method's work.

    Args:
        run_dir: everything the run writes lies here.
        resume_from: a checkpoint of this run or of one with the same settings.
        asked: called after every step.
        finish_only: make no step; the artifact is that of ``resume_from``.
    """

    run_dir: Path
    resume_from: Path | None = None
    control: Callable[[], RunControl] = no_control
    adjustments: Adjustments = UNCHANGED
    finish_only: bool = False


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
    """Decision of the run itself, in a sentence for whoever started it."""

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
