"""Pictures that an augmentation is to draw, and what they have in common. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings that all pictures have in common. ``parts`` are files by the kinds they hold."""

    base: str
    parts: Mapping[str, Path]
    mask_rate: float
    strength: float
    prompt: str | None
    num_inference_steps: int
    guidance_scale: float | None


@dataclass(frozen=True, slots=True)
class AugmentationTarget:
    """One picture that is to be drawn after ``source``, as ``file`` in its class's folder."""

    file: str
    source: Path
    seed: int


@dataclass(frozen=True, slots=True)
class AugmentedImage:
    """A finished picture as PNG; ``mask`` in cells of the square of ``side`` that CLIP reads."""

    target: AugmentationTarget
    png: bytes
    mask: Mapping[str, int]
