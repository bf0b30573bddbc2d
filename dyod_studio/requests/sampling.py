"""What a sample request says: every value that decides its images, as JSON in its row.

Input files stand beside the request in rows of their own, by the names ``image``, ``region`` for
the mask of what is drawn again in it, ``a``, ``b``, and ``condition``, ``condition_2``, ... for the
pictures that an ANL draws after.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.references import STARTER
from dyod_studio.services.parts import check_known

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


Start = Literal["prompt", "distribution", "image"]
STARTS: tuple[Start, ...] = ("prompt", "distribution", "image")
DEFAULT_T0: dict[str, float] = {"prompt": 1.0, "distribution": 0.5, "image": 0.5}
CLOSEST_T0, CLOSEST_T0_OF_STARTER = 0.6, 0.3
"""Where pictures from the learned distribution are closest to a set: on Stable Diffusion by Table 1
of DYOD, on the starter as measured in docs/reproduction.md."""
MAX_IMAGES = 64
MAX_FRAMES = 240
MAX_SEED = 2**63 - 1
MAX_TEXT = 1000
"""Characters of a prompt."""


def closest_t0(base: str) -> float:
    """The t0 for first pictures of a set that nobody has measured yet.

    Args:
        base: how the user named the base model.
    """
    return CLOSEST_T0_OF_STARTER if base == STARTER else CLOSEST_T0


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InvalidInputError(f"{name} must lie in [{low:g}, {high:g}], got {value:g}.")


def _check_text(name: str, value: str | None) -> None:
    if value is not None and len(value) > MAX_TEXT:
        raise InvalidInputError(f"{name} must be at most {MAX_TEXT} characters long.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Denoising:
    """What every reverse process is told. ``None`` means the base model's own default.

    ``t0`` is the share of the training timesteps that the start is noised to, in [0, 1].
    ``use`` names the kinds of trained parts to draw with, None for the usual ones; ``strength`` is
    the share of what those among them change that change the U-Net.
    """

    t0: float | None = None
    seed: int | None = None
    num_inference_steps: int = 50
    guidance_scale: float | None = None
    prompt: str | None = None
    use: tuple[str, ...] | None = None
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.t0 is not None:
            _check_range("t0", self.t0, 0, 1)
        if self.seed is not None:
            _check_range("seed", self.seed, 0, MAX_SEED)
        _check_range("num_inference_steps", self.num_inference_steps, 1, 1000)
        if self.guidance_scale is not None:
            _check_range("guidance_scale", self.guidance_scale, 0, 50)
        _check_text("prompt", self.prompt)
        check_known(self.use or ())
        _check_range("strength", self.strength, 0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSettings(Denoising):
    """New pictures from a prompt alone, from the learned distribution, or from a picture.

    ``region`` is a mask over ``image``: only where it is bright that is drawn again.
    An ANL draws picture i after condition i, and begins anew after the last; ``mask_rate`` is the
    side ratio of what is blanked in a condition picture, ``text_weight`` the share of the condition
    text where there are pictures as well.
    """

    start: Start
    image: Path | None = None
    region: Path | None = None
    num_images: int = 4
    conditions: tuple[Path, ...] = ()
    condition_text: str | None = None
    mask_rate: float = 0.0
    text_weight: float = 0.5

    def __post_init__(self) -> None:
        Denoising.__post_init__(self)
        if self.start not in STARTS:
            raise InvalidInputError(f"from must be one of {', '.join(STARTS)}, got {self.start!r}.")
        _check_range("num_images", self.num_images, 1, MAX_IMAGES)
        if self.start == "image" and self.image is None:
            raise InvalidInputError("Give a sketch or picture to start from.")
        if self.start != "image" and self.image is not None:
            raise InvalidInputError(f"A start from {self.start!r} takes no picture.")
        if self.region is not None and self.image is None:
            raise InvalidInputError("A region is a part of a picture: give that to start from.")
        self._check_conditions()

    @property
    def is_conditioned(self) -> bool:
        return bool(self.conditions or self.condition_text)

    def _check_conditions(self) -> None:
        _check_text("condition_text", self.condition_text)
        _check_range("text_weight", self.text_weight, 0, 1)
        if not 0 <= self.mask_rate < 1:
            raise InvalidInputError(f"mask_rate must lie in [0, 1), got {self.mask_rate:g}.")
        if self.mask_rate and not self.conditions:
            raise InvalidInputError(
                "mask_rate says how freely condition pictures are read: give at least one."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpolationSettings(Denoising):
    """Frames between two ends; each end is a picture's path or ``seed:N``.

    With ``free_noise`` every frame draws its own noise; otherwise all share one (DYOD, fig. 6).
    """

    a: str
    b: str
    num_frames: int = 9
    free_noise: bool = False
    is_spherical: bool = False

    def __post_init__(self) -> None:
        Denoising.__post_init__(self)
        _check_range("num_frames", self.num_frames, 2, MAX_FRAMES)
        for name, end in (("a", self.a), ("b", self.b)):
            if end.startswith("seed:") and not end.removeprefix("seed:").isdecimal():
                raise InvalidInputError(f"{name} must be a picture or seed:N, got {end!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraversalSettings(Denoising):
    """Frames in which one coordinate of the code moves by ±``span`` standard deviations.

    ``coordinate`` is a rank: 0 is the coordinate that tells the pictures apart most.
    """

    coordinate: int
    span: float = 3.0
    num_frames: int = 7

    def __post_init__(self) -> None:
        Denoising.__post_init__(self)
        _check_range("num_frames", self.num_frames, 2, MAX_FRAMES)
        _check_range("span", self.span, 0.01, 10)
        if self.coordinate < 0:
            raise InvalidInputError(f"coordinate must be 0 or more, got {self.coordinate}.")


SamplingSettings = SampleSettings | InterpolationSettings | TraversalSettings


@dataclass(frozen=True, slots=True)
class SamplingProgress:
    """How far a request is: ``step`` of ``num_steps`` denoiser calls."""

    step: int
    num_steps: int
