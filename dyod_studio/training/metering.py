"""How long the parts of a run take, told from its events as they come. No torch here."""

import statistics
import time
from collections.abc import Callable, Iterator

from dyod_studio.models.memory_plan import Measurement
from dyod_studio.training.events import (
    ArtifactReady,
    CheckpointSaved,
    Event,
    Note,
    PicturesPrepared,
    PreviewsFailed,
    PreviewsReady,
    StepDone,
)

WARM_UP_STEPS = 1


class Meter:
    """Times the events of one run; whoever iterates is part of what an event takes."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._setup_s = 0.0
        self._warm_up: list[float] = []
        self._steps: list[float] = []
        self._previews: list[float] = []
        self._checkpoints: list[float] = []

    def watch(self, events: Iterator[Event]) -> Iterator[Event]:
        """The same events, one after the other."""
        last = self._clock()
        for event in events:
            now = self._clock()
            self._note(event, now - last)
            last = now
            yield event

    def measurement(self, peak_memory_mb: float, loading_s: float = 0.0) -> Measurement | None:
        """What was seen, or None when there were too few steps to tell.

        Args:
            loading_s: what went before: starting the process, loading the base model.
        """
        if not self._steps:
            return None
        step_s = statistics.median(self._steps)
        before_first_step = max(0.0, sum(self._warm_up) - len(self._warm_up) * step_s)
        return Measurement(
            peak_memory_mb=peak_memory_mb,
            setup_s=loading_s + self._setup_s + before_first_step,
            step_s=step_s,
            preview_s=_median(self._previews),
            checkpoint_s=_median(self._checkpoints),
        )

    def _note(self, event: Event, seconds: float) -> None:
        match event:
            case StepDone() if len(self._warm_up) < WARM_UP_STEPS:
                self._warm_up.append(seconds)
            case StepDone():
                self._steps.append(seconds)
            case PreviewsReady():
                self._previews.append(seconds)
            case CheckpointSaved():
                self._checkpoints.append(seconds)
            case ArtifactReady():
                self._setup_s += seconds
            case PicturesPrepared() | PreviewsFailed() | Note():
                pass  # pictures are prepared once and kept; what failed is no measure


def _median(seconds: list[float]) -> float | None:
    return statistics.median(seconds) if seconds else None
