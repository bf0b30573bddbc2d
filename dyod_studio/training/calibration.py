"""Measurement of what a run takes on this machine, from a few real steps of it.

The real method on the real set, with the settings that are asked for, cut short: what is measured
is what will run. Do it in a process of its own, or the peak is that of whatever ran before.
"""

import logging
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from dyod_studio.errors import TrainingError
from dyod_studio.models.base import BaseModel
from dyod_studio.models.memory import peak_memory_mb, release_memory
from dyod_studio.models.memory_plan import Measurement
from dyod_studio.training.data import TrainingSet
from dyod_studio.training.oom_fallbacks import ALLOCATORS_RAISE, is_out_of_memory, next_fallback
from dyod_studio.training.registry import Method, MethodConfig
from dyod_studio.training.run import (
    UNCHANGED,
    Adjustments,
    ArtifactReady,
    CheckpointSaved,
    Event,
    Note,
    PicturesPrepared,
    PreviewsFailed,
    PreviewsReady,
    Run,
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
        """Measurement so far, or None when there were too few steps to tell.

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


MEASURED_STEPS = 8
"""The first is warm-up."""
TOO_LARGE = "This does not fit into memory, however it is trained: use a smaller base model."

log = logging.getLogger(__name__)


def measure(
    method: Method,
    config: MethodConfig,
    base: BaseModel,
    dataset: TrainingSet,
    run_dir: Path,
    *,
    adjustments: Adjustments = UNCHANGED,
    loading_s: float = 0.0,
) -> Measurement:
    """Make a few steps, one preview and one checkpoint, taking fallbacks as needed.

    Args:
        run_dir: an empty folder; the caller throws it away.
        loading_s: what went before, to be counted as part of the setup.

    Raises:
        TrainingError: it does not fit, whatever is changed.
    """
    counts = ("steps", "checkpoint_every", "preview_every")
    short = config.model_copy(update=dict.fromkeys(counts, MEASURED_STEPS))
    while True:
        fallback = next_fallback(
            method.info,
            config,
            adjustments,
            resolution=base.own_resolution,
            resolution_multiple=base.resolution_multiple,
        )
        found = _attempt(method, short, base, dataset, Run(run_dir, adjustments=adjustments))
        if found is not None:
            break
        if fallback is None:
            raise TrainingError(TOO_LARGE)
        adjustments, sentence = fallback
        log.info("%s", sentence)
        release_memory(base.device.type)
    changed = adjustments.as_dict() if adjustments != UNCHANGED else {}
    return replace(found, setup_s=found.setup_s + loading_s, adjustments=changed)


def _attempt(
    method: Method, config: MethodConfig, base: BaseModel, dataset: TrainingSet, run: Run
) -> Measurement | None:
    """None when it does not fit; nothing of the attempt is then held any more."""
    meter = Meter()
    try:
        for _ in meter.watch(method.run(config, base, dataset, run)):
            pass
    except ALLOCATORS_RAISE as exc:
        if not is_out_of_memory(exc):
            raise
        log.info("Out of memory: %s", exc)
        return None
    found = meter.measurement(peak_memory_mb(base.device.type))
    if found is None:
        raise TrainingError("Too few steps were made to measure them.")
    return found
