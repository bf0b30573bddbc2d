"""What a run takes on this machine, from a few real steps of it.

The real method on the real set, with the settings that are asked for, cut short: what is measured
is what will run. Do it in a process of its own, or the peak is that of whatever ran before.
"""

import logging
from dataclasses import replace
from pathlib import Path

from dyod_studio.errors import TrainingError
from dyod_studio.models.base import BaseModel
from dyod_studio.models.devices import peak_memory_mb, release_memory
from dyod_studio.models.memory_plan import Measurement
from dyod_studio.training.config import MethodConfig
from dyod_studio.training.data import TrainingSet
from dyod_studio.training.ladder import ALLOCATORS_RAISE, is_out_of_memory, next_rung
from dyod_studio.training.metering import Meter
from dyod_studio.training.registry import Method
from dyod_studio.training.run import UNCHANGED, Adjustments, Run

MEASURED_STEPS = 8
"""The first is warm-up."""

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
    """Make a few steps, one preview and one checkpoint, taking rungs of the ladder as needed.

    Args:
        run_dir: an empty folder; the caller throws it away.
        loading_s: what went before, to be counted as part of the setup.

    Raises:
        TrainingError: it does not fit, whatever is changed.
    """
    short = config.model_copy(
        update={
            "steps": MEASURED_STEPS,
            "checkpoint_every": MEASURED_STEPS,
            "preview_every": MEASURED_STEPS,
        }
    )
    while True:
        rung = next_rung(
            method.info,
            config,
            adjustments,
            resolution=base.own_resolution,
            resolution_multiple=base.resolution_multiple,
        )
        found = _attempt(method, short, base, dataset, Run(run_dir, adjustments=adjustments))
        if found is not None:
            break
        if rung is None:
            raise TrainingError(
                "This does not fit into memory, however it is trained: use a smaller base model."
            )
        adjustments, sentence = rung
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
