"""Plan of a run before it starts: what it will take, what makes it fit. No torch here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dyod_studio.models.base_size import BaseSize
from dyod_studio.models.memory_plan import (
    Measurement,
    MemoryPlan,
    StepShape,
    Workload,
    estimate,
    make_plan,
    scaled,
)
from dyod_studio.requests.part_kinds import training_methods
from dyod_studio.requests.part_records import TrainingMethod
from dyod_studio.training.footprints import footprint_of
from dyod_studio.training.oom_fallbacks import describe, micro_batch, next_fallback
from dyod_studio.training.registry import MethodConfig
from dyod_studio.training.run import UNCHANGED, Adjustments


@dataclass(frozen=True, slots=True)
class Known:
    """A measurement and the key of the settings it was made with."""

    key: str
    measurement: Measurement


def calibration_key(method: str, values: Mapping[str, Any], adjustments: Adjustments) -> str:
    """The settings that memory and time of a step depend on, as canonical JSON.

    Args:
        values: the method's whole settings.
    """
    settings = {name: values[name] for name in training_methods()[method].memory_settings}
    return json.dumps(
        {"settings": settings, "adjustments": adjustments.as_dict()},
        sort_keys=True,
        separators=(",", ":"),
    )


def workload(config: MethodConfig, adjustments: Adjustments, done: int = 0) -> Workload:
    """How often a run makes steps, previews and checkpoints after ``done`` steps."""
    last = config.steps

    def times(every: int) -> set[int]:
        return {step for step in range(every, last + 1, every) if step > done} | {last}

    saved = times(config.checkpoint_every)
    shown = saved | times(config.preview_every)
    return Workload(last - done, len(shown) if adjustments.previews else 0, len(saved))


def plan_run(
    method: str,
    config: MethodConfig,
    size: BaseSize,
    device: str,
    free_mb: float,
    *,
    known: Known | None = None,
    adjustments: Adjustments = UNCHANGED,
    done: int = 0,
) -> tuple[MemoryPlan, Adjustments]:
    """The plan, and the adjustments that the run begins with.

    Beforehand only those fallbacks are taken that change nothing of what is learned or shown, and
    only where they are enough; whatever else it takes is found when memory does run out.

    Args:
        device: ``cpu`` or ``cuda``.
        known: the measurement with this key if there is one, else the nearest.
        adjustments: what is decided already. done: steps that a checkpoint has behind it.
    """
    adjustments, measures = _measured_fallbacks(method, config, adjustments, known)
    needs = _needs(method, config, size, device, known, adjustments)
    info, chosen, chosen_needs, more = training_methods()[method], adjustments, needs, []
    while chosen_needs.peak_memory_mb > free_mb:
        fallback = next_fallback(info, config, chosen)
        if fallback is None or not fallback[0].previews:
            break
        chosen, sentence = fallback
        more.append(sentence)
        chosen_needs = _needs(method, config, size, device, known, chosen)
    if chosen_needs.peak_memory_mb <= free_mb:
        adjustments, needs, measures = chosen, chosen_needs, measures + more
    if device == "cuda" and info.uses_unet:
        measures.append("The autoencoder leaves the card while the U-Net trains.")
    key = calibration_key(method, config.model_dump(mode="json"), adjustments)
    work, guessed = workload(config, adjustments, done), known is None or known.key != key
    plan = make_plan(device, free_mb, needs, work, is_estimate=guessed, measures=measures)
    return plan, adjustments


def _measured_fallbacks(
    method: str, config: MethodConfig, adjustments: Adjustments, known: Known | None
) -> tuple[Adjustments, list[str]]:
    """Where these very settings were measured, what had to be changed there for them to fit."""
    if known is None or adjustments != UNCHANGED:
        return adjustments, []
    needed = Adjustments.from_dict(known.measurement.adjustments)
    if calibration_key(method, config.model_dump(mode="json"), needed) != known.key:
        return adjustments, []
    return needed, describe(config, needed)


def _needs(
    method: str,
    config: MethodConfig,
    size: BaseSize,
    device: str,
    known: Known | None,
    adjustments: Adjustments,
) -> Measurement:
    key = calibration_key(method, config.model_dump(mode="json"), adjustments)
    if known is not None and known.key == key:
        return known.measurement
    expected = estimate(size, _shape(training_methods()[method], key, size), device)
    if known is None:
        return expected
    there = estimate(size, _shape(training_methods()[method], known.key, size), device)
    return scaled(known.measurement, expected, there)


def _shape(info: TrainingMethod, key: str, size: BaseSize) -> StepShape:
    """Shape of one step by the settings of a key."""
    key_parts = json.loads(key)
    adjustments = Adjustments.from_dict(key_parts["adjustments"])
    batch_size = key_parts["settings"]["batch_size"]
    side = adjustments.resolution or size.resolution
    at_once = micro_batch(batch_size, adjustments.accumulation)
    each = 2 if key_parts["settings"].get("prior_weight") else 1  # a picture of the class beside it
    return StepShape(
        micro_batch=each * at_once,
        num_parts=-(-batch_size // at_once),
        share_px=(side / size.resolution) ** 2,
        recompute=adjustments.gradient_checkpointing,
        previews=adjustments.previews,
        uses_unet=info.uses_unet,
        added=footprint_of(info, key_parts["settings"], size),
    )
