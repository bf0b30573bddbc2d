"""Whether a run fits its device and how long it takes: pure arithmetic, no torch.

Figures come from a few measured steps of the same settings where there are any, else they are
estimated; a plan says which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dyod_studio.models.base_size import BaseSize
from dyod_studio.models.memory import MEGABYTE

PROCESS_MB = {"cpu": 750.0, "cuda": 0.0}
"""Held before a base model is loaded: Python, PyTorch, diffusers. None of it is on a card."""
GFLOPS_PER_S = {"cpu": 60.0, "cuda": 4000.0}
WEIGHT_BYTES = {"cpu": 4, "cuda": 2}
"""Frozen weights; see ``devices.dtype_policy``."""
FULL_BYTES = 4
TRAINED_BYTES = 16
"""A trained number in float32, its gradient, and the two means that Adam keeps of it."""
UPDATE_BYTES = {"cpu": 0, "cuda": 8}
"""On a card all numbers are updated at once, with what Adam computes in between."""
KEPT_OF_TRAINED = 0.3
"""Factor by which a trained layer keeps more than a frozen one that gradients pass through."""
START_S = 12.0
KEPT_WHEN_RECOMPUTED = 0.3
"""Share of the activations that stay when they are computed again on the way back."""
BACKWARD = 2.0
"""Time of the way back through frozen networks, in ways forwards."""
PREVIEW_PASSES = 4 * 2 * 20
"""Four pictures, with and without the prompt, twenty steps."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Memory and times that a run was seen to take; None where nothing of the kind happened.

    Args:
        peak_memory_mb: the most its process held, on the card when it computes there.
        setup_s: everything but steps, previews and checkpoints: start, loading, the end.
        adjustments: what had to be changed for it to fit, as JSON; empty when nothing.
    """

    peak_memory_mb: float
    setup_s: float
    step_s: float
    preview_s: float | None = None
    checkpoint_s: float | None = None
    adjustments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workload:
    """How often a run does what takes time."""

    num_steps: int
    num_previews: int
    num_checkpoints: int

    def seconds(self, needs: Measurement) -> float:
        return (
            needs.setup_s
            + self.num_steps * needs.step_s
            + self.num_previews * (needs.preview_s or 0.0)
            + self.num_checkpoints * (needs.checkpoint_s or 0.0)
        )


@dataclass(frozen=True, slots=True)
class Footprint:
    """Parameters and activations that a method adds to the base model.

    Args:
        num_trained: numbers that it trains. activations_mb: what its own layers leave for the way
            back, of one picture. text_mb: what a prompt leaves in the text encoder.
        is_unet: what is trained is a U-Net of its own; the base's leaves a card meanwhile.
    """

    num_trained: int = 0
    activations_mb: float = 0.0
    text_mb: float = 0.0
    is_unet: bool = False


NO_FOOTPRINT = Footprint()


@dataclass(frozen=True, slots=True)
class StepShape:
    """Batch that passes through the networks in one step.

    Args:
        micro_batch, num_parts: pictures at once, and how often. share_px: their pixels, as a
            share of the base model's own.
        uses_unet: gradients pass through the U-Net; else a small network of its own is trained.
        added: what the method adds to the base model.
    """

    micro_batch: int
    num_parts: int
    share_px: float = 1.0
    recompute: bool = False
    previews: bool = True
    uses_unet: bool = True
    added: Footprint = NO_FOOTPRINT


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Memory and time of a run, and what will be done so that it fits.

    Args:
        measures: a sentence each; empty when nothing has to be done.
        advice: what a person can do when it does not fit; else empty.
    """

    device: str
    free_mb: float
    peak_memory_mb: float
    seconds: float
    is_estimate: bool
    fits: bool
    measures: tuple[str, ...] = ()
    advice: str = ""


def make_plan(
    device: str,
    free_mb: float,
    needs: Measurement,
    work: Workload,
    *,
    is_estimate: bool,
    measures: Sequence[str] = (),
) -> MemoryPlan:
    """Compare what a run needs with what the device has free.

    Args:
        device: ``cpu`` or ``cuda``.
    """
    missing = needs.peak_memory_mb - free_mb
    advice = ""
    if missing > 0:
        advice = (
            f"About {missing:,.0f} MB more have to be free: close other programs that use the "
            f"{'card' if device == 'cuda' else 'memory'}, or choose a smaller base model."
        )
    return MemoryPlan(
        device=device,
        free_mb=free_mb,
        peak_memory_mb=needs.peak_memory_mb,
        seconds=work.seconds(needs),
        is_estimate=is_estimate,
        fits=missing <= 0,
        measures=tuple(measures),
        advice=advice,
    )


def estimate(size: BaseSize, shape: StepShape, device: str) -> Measurement:
    """Measurement to expect of a base model of this size that nobody has measured here.

    Args:
        device: ``cpu`` or ``cuda``.
    """
    kept, passes = _of_unet(shape) if shape.uses_unet else (0.0, 0.05)
    autoencoder = size.autoencoder_mb * shape.share_px if shape.previews else 0.0
    updating = shape.added.num_trained * UPDATE_BYTES[device] / MEGABYTE
    held = max(_passing_mb(size, shape, kept, device), autoencoder, updating)
    per_pass_s = size.gflops * shape.share_px / GFLOPS_PER_S[device]
    return Measurement(
        peak_memory_mb=PROCESS_MB[device] + _resting_mb(size, shape, device) + held,
        setup_s=START_S,
        step_s=shape.micro_batch * shape.num_parts * passes * per_pass_s,
        preview_s=(PREVIEW_PASSES if shape.uses_unet else 4) * per_pass_s,
        checkpoint_s=0.1,
    )


def scaled(known: Measurement, expected: Measurement, expected_there: Measurement) -> Measurement:
    """A measurement of other settings, brought to these by what the estimates say of both."""
    more = expected.peak_memory_mb - expected_there.peak_memory_mb
    faster = expected.step_s / expected_there.step_s
    return Measurement(
        peak_memory_mb=max(known.peak_memory_mb + more, 0.2 * known.peak_memory_mb),
        setup_s=known.setup_s,
        step_s=known.step_s * faster,
        preview_s=known.preview_s,
        checkpoint_s=known.checkpoint_s,
    )


def _resting_mb(size: BaseSize, shape: StepShape, device: str) -> float:
    """Weights, and what the optimiser keeps of those that are trained."""
    frozen = size.num_parameters
    if shape.added.is_unet and device == "cuda":
        frozen -= size.num_unet_parameters
    trained = shape.added.num_trained * TRAINED_BYTES
    return (frozen * WEIGHT_BYTES[device] + trained) / MEGABYTE


def _passing_mb(size: BaseSize, shape: StepShape, kept: float, device: str) -> float:
    """Activations of one share of a batch, and the weights that are cast for its way back."""
    added = shape.added
    of_unet = size.activations_mb * (1 + KEPT_OF_TRAINED * added.is_unet) + added.activations_mb
    each = of_unet * shape.share_px * kept + added.text_mb
    is_cast = shape.uses_unet and not added.is_unet and device == "cuda"
    cast = is_cast * size.num_unet_parameters * (FULL_BYTES * kept) / MEGABYTE
    return shape.micro_batch * each + cast


def _of_unet(shape: StepShape) -> tuple[float, float]:
    """(share of the activations that is kept, ways through the network)."""
    backward = BACKWARD + shape.added.is_unet  # a way more for the weights themselves
    if shape.recompute:
        return KEPT_WHEN_RECOMPUTED, 2 + backward
    return 1.0, 1 + backward
