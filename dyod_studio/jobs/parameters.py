"""What a sample request says: every value that decides its images, as JSON in its row.

Input files stand beside the request in rows of their own, by the names ``image``, ``region`` for
the mask of what is drawn again in it, ``a``, ``b``, and ``condition``, ``condition_2``, ... for the
pictures that an ANL draws after.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SEED_PREFIX = "seed:"
AVERAGE, ORIGIN = "average", "origin"
"""An origin that is the code of zeros; the name of the picture that is one."""
CONDITION = "condition"
"""What the names of condition pictures begin with."""
REGION = "region"
"""The name of the mask: bright where the input ``image`` is drawn again."""
SEEDS = 2**63
"""How many seeds there are; counting on from the last one begins again at 0."""


class SamplingParameters(BaseModel):
    """What every request says. None stands for what suits the base model."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    base: str
    """The base model: ``starter``, a folder, a hub id, a file."""
    artifacts: dict[str, str]
    """The trained parts in use: kind to SHA-256."""
    t0: float = Field(ge=0, le=1)
    seed: int = Field(ge=0, lt=SEEDS)
    num_inference_steps: int = Field(ge=1)
    guidance_scale: float | None
    prompt: str | None
    """None for what the trained parts were taught with: the learned word alone, or a phrase; that
    also takes the place of ``{token}`` in it."""
    adapter_strength: float = Field(1.0, ge=0, le=1)
    """Share of what trained adapters change; 0 is the base model's own U-Net."""
    condition_text: str | None = None
    """What an ANL draws after, beside or in place of condition pictures."""
    mask_rate: float = Field(0.0, ge=0, lt=1)
    """How freely condition pictures are read: side ratio of what is blanked in them."""
    text_weight: float = Field(0.5, ge=0, le=1)
    """Share of the condition text where there are condition pictures as well."""


class SampleParameters(SamplingParameters):
    """One image a seed, from ``prompt``, ``distribution`` or the input file ``image``."""

    num_images: int = Field(ge=1)

    def seeds(self) -> list[int]:
        """The noise of each image, and its code where it has one."""
        return _count_on(self.seed, self.num_images)


class InterpolationParameters(SamplingParameters):
    """Frames from ``a`` to ``b``: each is ``seed:N``, or names the picture it stands for."""

    a: str
    b: str
    num_frames: int = Field(ge=2)
    free_noise: bool
    is_spherical: bool
    frames: list[int] | None = None
    """Which of the frames are made, counted from 0; None for all."""

    def seeds(self) -> list[int]:
        """The noise of each frame: one for all, or one each."""
        seeds = [self.seed] * self.num_frames
        if self.free_noise:
            seeds = _count_on(self.seed, self.num_frames)
        return seeds if self.frames is None else [seeds[index] for index in self.frames]


class TraversalParameters(SamplingParameters):
    """Frames in which the coordinate of this rank runs over [-span, span]; all share a noise.

    The other coordinates stay those of the code that ``seed`` draws.
    """

    coordinate: int = Field(ge=0)
    span: float = Field(gt=0)
    num_frames: int = Field(ge=2)

    def seeds(self) -> list[int]:
        return [self.seed] * self.num_frames


class PlaceParameters(SamplingParameters):
    """One image a place: the code of ``origin`` with some coordinates moved, by their ranks.

    ``origin`` is ``average`` (the code of zeros), ``seed:N``, or names the input file ``origin``.
    With ``spread`` s an image's code is sqrt(1 - s^2) z + s z', where z' is drawn by its own seed:
    near z when s is small, anywhere when it is 1.
    """

    origin: str
    places: list[dict[int, float]] = Field(min_length=1)
    spread: float = Field(0.0, ge=0, le=1)
    free_noise: bool = False

    def seeds(self) -> list[int]:
        if self.free_noise:
            return _count_on(self.seed, len(self.places))
        return [self.seed] * len(self.places)


AnyParameters = SampleParameters | InterpolationParameters | TraversalParameters | PlaceParameters

KINDS: dict[str, type[AnyParameters]] = {
    "prompt": SampleParameters,
    "distribution": SampleParameters,
    "image": SampleParameters,
    "interpolation": InterpolationParameters,
    "traversal": TraversalParameters,
    "place": PlaceParameters,
    "near": PlaceParameters,
}


def read_parameters(kind: str, values: Mapping[str, Any]) -> AnyParameters:
    """The parameters of a request's row."""
    return KINDS[kind].model_validate(dict(values))


def _count_on(seed: int, number: int) -> list[int]:
    return [(seed + index) % SEEDS for index in range(number)]
