"""Fallbacks when a run does not fit into memory, one after the other. No torch here."""

from dataclasses import replace

from dyod_studio.errors import OutOfMemoryError
from dyod_studio.requests.part_records import TrainingMethod
from dyod_studio.training.registry import MethodConfig
from dyod_studio.training.run import Adjustments

ALLOCATOR_MESSAGES = (
    "defaultcpuallocator",
    "out of memory",
    "not enough memory",
    "cublas_status_alloc_failed",
    "cannot allocate memory",
)
ALLOCATORS_RAISE = (MemoryError, RuntimeError, OSError, OutOfMemoryError)
"""Exceptions that a lack of memory can arrive as; `is_out_of_memory` tells it from other faults."""
SMALLEST_SHARE = 0.5
"""Of the base model's own resolution; below that it draws nothing it knows."""


def micro_batch(batch_size: int, accumulation: int) -> int:
    """Pictures that pass through the networks at once."""
    return -(-batch_size // accumulation)


def next_fallback(
    info: TrainingMethod,
    config: MethodConfig,
    adjustments: Adjustments,
    *,
    resolution: int | None = None,
    resolution_multiple: int = 64,
) -> tuple[Adjustments, str] | None:
    """The mildest further change and a sentence that says it; None when nothing is left to change.

    Args:
        resolution: the base model's own; without it the pictures are not made smaller.
        resolution_multiple: what its networks can halve often enough.
    """
    changed = None
    if micro_batch(config.batch_size, adjustments.accumulation) > 1:
        changed = replace(adjustments, accumulation=2 * adjustments.accumulation)
    elif info.can_checkpoint_gradients and not adjustments.gradient_checkpointing:
        changed = replace(adjustments, gradient_checkpointing=True)
    elif adjustments.previews:
        changed = replace(adjustments, previews=False)
    elif info.can_shrink and resolution is not None:
        side = _smaller(adjustments.resolution or resolution, resolution, resolution_multiple)
        changed = replace(adjustments, resolution=side) if side is not None else None
    return None if changed is None else (changed, describe(config, changed)[-1])


def describe(config: MethodConfig, adjustments: Adjustments) -> list[str]:
    """A sentence for everything that is changed, in the order of the fallbacks."""
    sentences = []
    if adjustments.accumulation > 1:
        size = micro_batch(config.batch_size, adjustments.accumulation)
        sentences.append(f"Each batch of {config.batch_size} is computed {size} at a time.")
    if adjustments.gradient_checkpointing:
        sentences.append("Activations are computed twice instead of kept; steps take longer.")
    if not adjustments.previews:
        sentences.append("No preview pictures are made.")
    if adjustments.resolution is not None:
        sentences.append(f"Pictures are trained on at {adjustments.resolution} pixels.")
    return sentences


def is_out_of_memory(exc: BaseException) -> bool:
    """Whether an allocator gave up, by the exception itself or by what it came from."""
    if isinstance(exc, (MemoryError, OutOfMemoryError)) or type(exc).__name__ == "OutOfMemoryError":
        return True
    message = str(exc).lower()
    return isinstance(exc, (RuntimeError, OSError)) and any(
        words in message for words in ALLOCATOR_MESSAGES
    )


def _smaller(now: int, full: int, multiple: int) -> int | None:
    """Three quarters of the present side, as the networks can take it."""
    side = now * 3 // 4 // multiple * multiple
    return side if side >= SMALLEST_SHARE * full else None
