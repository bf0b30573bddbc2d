"""Where a run writes, where it goes on from, what it is asked meanwhile, how it saves memory."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants of a running run; it is obeyed when the step at hand is finished.

    Args:
        save_now: keep a checkpoint of this moment, with its previews, for good.
        sample_now: make preview pictures.
        pause: save the state without previews; the caller then asks for no further event.
    """

    save_now: bool = False
    sample_now: bool = False
    pause: bool = False


def nothing_asked() -> Asked:
    """Nobody wants anything."""
    return Asked()


@dataclass(frozen=True, slots=True)
class Adjustments:
    """What was changed so that a run fits into memory; none of it changes what is learned.

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
        """What :meth:`as_dict` gave; an empty mapping is no adjustment at all."""
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
    asked: Callable[[], Asked] = nothing_asked
    adjustments: Adjustments = UNCHANGED
    finish_only: bool = False
