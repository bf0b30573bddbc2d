"""What can be asked of the sampler, checked before any work is done."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.references import STARTER
from dyod_studio.services.parts import check_known

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
