"""What a sample request says: every value that decides its images, as JSON in its row.

Input files stand beside the request in rows of their own, by the names ``image``, ``a``, ``b``.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SEED_PREFIX = "seed:"
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
    """None for the learned word alone."""


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

    def seeds(self) -> list[int]:
        """The noise of each frame: one for all, or one each."""
        if self.free_noise:
            return _count_on(self.seed, self.num_frames)
        return [self.seed] * self.num_frames


class TraversalParameters(SamplingParameters):
    """Frames in which the coordinate of this rank runs over [-span, span]; all share a noise.

    The other coordinates stay those of the code that ``seed`` draws.
    """

    coordinate: int = Field(ge=0)
    span: float = Field(gt=0)
    num_frames: int = Field(ge=2)

    def seeds(self) -> list[int]:
        return [self.seed] * self.num_frames


AnyParameters = SampleParameters | InterpolationParameters | TraversalParameters

KINDS: dict[str, type[AnyParameters]] = {
    "prompt": SampleParameters,
    "distribution": SampleParameters,
    "image": SampleParameters,
    "interpolation": InterpolationParameters,
    "traversal": TraversalParameters,
}


def read_parameters(kind: str, values: Mapping[str, Any]) -> AnyParameters:
    """The parameters of a request's row."""
    return KINDS[kind].model_validate(dict(values))


def _count_on(seed: int, number: int) -> list[int]:
    return [(seed + index) % SEEDS for index in range(number)]
