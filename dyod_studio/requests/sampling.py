"""The one shape of what the sampler can be asked for, from the page's fields to a picture's file.

The page and the command line fill a request, a row keeps its JSON, the sampler reads it back, the
picture carries it, and the gallery restores it. Bounds stand on the fields and nowhere else.
A field that is None is open: the base model's default, or what suits the project. Files that a
request begins from stand beside it by their names: ``image``, ``region`` (a mask, bright where
``image`` is drawn again), ``control`` (a drawing whose lines lead), ``a``, ``b``, ``origin``, and
``condition``, ``condition_2``, ... for the pictures that an ANL draws after.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.part_kinds import check_known
from dyod_studio.requests.validation import sentence_of

STARTER = "starter"
"""How the base model that ships with the studio is named."""
SEED_PREFIX = "seed:"
AVERAGE, ORIGIN, CONDITION = "average", "origin", "condition"
"""The origin that is the code of zeros; names of pictures that are an origin, or a condition."""
IMAGE, REGION, CONTROL = "image", "region", "control"
SEEDS, MAX_TEXT, MAX_FRAMES = 2**63, 1000, 240
"""How many seeds there are (after the last comes 0); characters of a prompt; frames of a strip."""
MAX_VALUE = 10.0  # standard deviations that a coordinate may be moved by
Start = Literal["prompt", "distribution", "image"]
Codes = Literal["set", "near", "prior", "reference"]
"""Where seeds draw codes: among the set's, near one of those, in N(0, I), near the condition."""
Spacing = Literal["trailing", "scheduler"]
"""How the steps are spread: down from t0 itself, or cut out of the base model's own schedule."""
Sampler = Literal["ddim", "ddpm", "dpm++", "unipc", "euler", "euler-a", "lcm"]
DEFAULT_NOVELTY, DEFAULT_STEPS = 0.5, 18
DEFAULT_SAMPLER: Sampler = "dpm++"
EARLIER = {"codes": "prior", "timestep_spacing": "scheduler", "sampler": "ddim"}
"""What requests that do not say it were made with, by releases that knew nothing else."""
DEFAULT_T0: dict[str, float] = {"prompt": 1.0, "image": 0.5}
STRIP_KINDS = ("interpolation", "traversal", "place")
"""Kinds whose pictures are the frames of one strip: neighbours among the shapes."""
T0_OF_STYLE, T0_OF_STRIPS = 0.7, 0.4
"""With the set's style in the U-Net: where new shapes are closest, where a strip still moves."""
CLOSEST_T0, CLOSEST_T0_OF_STARTER = 0.6, 0.3
"""The same without that, by Table 1 of DYOD and after examples; on the starter without those."""


class SamplingRequest(BaseModel):
    """Fields of every request, whichever pictures it is for."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str
    base: str = ""
    """The base model: ``starter``, a folder, a hub id, a file."""
    artifacts: dict[str, str] = Field(default_factory=dict)
    """The trained parts in use: kind to SHA-256; found by ``use`` when the request is made."""
    use: tuple[str, ...] | None = Field(default=None, exclude=True)
    """Kinds of trained parts to draw with; None for the default ones."""
    inputs: dict[str, Path] = Field(default_factory=dict, exclude=True)
    """Files that the request begins from, by their names."""
    t0: float | None = Field(
        default=None, ge=0, le=1, title="How much may change",
        description="How much may change, in [0, 1]: share of the timesteps.",
    )  # fmt: skip
    seed: int | None = Field(
        default=None, ge=0, le=SEEDS - 1, title="Seed",
        description="The same seed makes the same picture.",
    )  # fmt: skip
    num_inference_steps: int = Field(
        default=DEFAULT_STEPS, ge=1, le=1000, title="Steps",
        description="Denoiser steps of the full schedule.",
    )  # fmt: skip
    guidance_scale: float | None = Field(
        default=None, ge=0, le=50, title="Guidance",
        description="How strictly the prompt is followed.",
    )  # fmt: skip
    prompt: str | None = Field(
        default=None, max_length=MAX_TEXT, title="In words",
        description="Text instead of the project's own prompt.",
    )  # fmt: skip
    """None for what the parts were taught with, which also stands for ``{token}`` in it."""
    codes: Codes = Field(
        default="near", title="New shapes",
        description="Where new shapes come from: near (a picture of the set, varied), set (like "
        "the set's), prior (anywhere, as in the paper) or reference (near --condition).",
    )  # fmt: skip
    novelty: float = Field(
        default=DEFAULT_NOVELTY, ge=0, le=1, title="Novelty",
        description="With --codes near, how far from that picture, in [0, 1].",
    )  # fmt: skip
    timestep_spacing: Spacing = Field(
        default="trailing", title="Spacing of the steps",
        description="trailing begins at t0 whatever the number of steps; scheduler is the base "
        "model's own.",
    )  # fmt: skip
    sampler: Sampler = Field(
        default=DEFAULT_SAMPLER, title="Sampler", description="What takes the steps."
    )
    adapter_strength: float = Field(
        default=1.0, ge=0, le=1, title="Strength",
        description="Share of what dreambooth, lora, custom-diffusion and anl change: 0 to 1.",
    )  # fmt: skip
    """Share of what trained adapters change; 0 is the base model's own U-Net."""
    condition_text: str | None = Field(
        default=None, max_length=MAX_TEXT, title="Or in words",
        description="Words that an anl draws after.",
    )  # fmt: skip
    mask_rate: float = Field(
        default=0.0, ge=0, lt=1, title="How freely the reference is read",
        description="How freely condition pictures are read, in [0, 1): 0 sees all of them.",
    )  # fmt: skip
    """Side ratio of what is blanked in condition pictures."""
    text_weight: float = Field(
        default=0.5, ge=0, le=1, title="Words or pictures",
        description="Share of the words where there are condition pictures too.",
    )  # fmt: skip

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as exc:
            raise InvalidInputError(sentence_of(exc, type(self))) from exc

    @field_validator("use")
    @classmethod
    def _check_use(cls, use: tuple[str, ...] | None) -> tuple[str, ...] | None:
        check_known(use or ())
        return use

    def replace(self, **changes: Any) -> Self:
        """The same request with some values changed, checked again."""
        return type(self)(**{**dict(self), **changes})

    def to_json(self) -> dict[str, Any]:
        """JSON that its row stores, and that every picture of it carries."""
        return self.model_dump(mode="json", exclude={"kind"})

    def first_seed(self) -> int:
        """The seed of a request that is ready to be carried out."""
        assert self.seed is not None  # it was drawn when the request was made
        return self.seed

    def seeds(self) -> list[int]:
        """The noise of each image."""
        raise NotImplementedError

    def alone(self, position: int, seed: int) -> Self | None:
        """The request for one of its images without its siblings; None where it needs them all."""
        return None

    @property
    def needed_parts(self) -> tuple[str, ...]:
        """Kinds of parts that it cannot do without: the vae where its images begin at codes."""
        return () if self.kind in ("prompt", "image") else ("vae",)

    @property
    def conditions(self) -> tuple[Path, ...]:
        """The condition pictures, in their order."""
        names = [name for name in self.inputs if name.startswith(CONDITION)]
        names.sort(key=lambda name: (len(name), name))
        return tuple(self.inputs[name] for name in names)


class SampleRequest(SamplingRequest):
    """New images: from the prompt, the learned distribution, or the input file ``image``.

    An ANL draws image i after condition i, and begins anew after the last.
    """

    kind: Start
    num_images: int = Field(
        default=4, ge=1, le=64, title="Pictures", description="How many pictures.")  # fmt: skip
    control_scale: float = Field(
        default=1.0, ge=0, le=1.5, title="Drawing influence",
        description="How closely the lines of --control are followed, in [0, 1.5].",
    )  # fmt: skip
    control_until: float = Field(
        default=1.0, ge=0, le=1, title="Lines lead until",
        description="Share of the steps in which those lines count.")  # fmt: skip

    @property
    def needed_parts(self) -> tuple[str, ...]:
        return (*super().needed_parts, *([CONTROL] if CONTROL in self.inputs else []))

    @property
    def is_conditioned(self) -> bool:
        """Whether there is anything that an ANL draws after."""
        return bool(self.conditions or self.condition_text)

    def check_inputs(self) -> None:
        """Refuse input files that lack, or that have no meaning in this request."""
        if self.kind == "image" and IMAGE not in self.inputs:
            raise InvalidInputError("Give a sketch or picture to start from.")
        if REGION in self.inputs and IMAGE not in self.inputs:
            raise InvalidInputError("A region is a part of a picture: give that to start from.")
        if self.kind != "image" and IMAGE in self.inputs:
            raise InvalidInputError(f"A start from {self.kind!r} takes no picture.")
        if self.mask_rate and not self.conditions:
            raise InvalidInputError(
                "mask_rate says how freely condition pictures are read: give at least one."
            )

    def seeds(self) -> list[int]:
        """The noise of each image, and its code where it has one."""
        return _count_on(self.first_seed(), self.num_images)

    def alone(self, position: int, seed: int) -> Self:
        """The request for one of its images."""
        inputs = {n: path for n, path in self.inputs.items() if not n.startswith(CONDITION)}
        if conditions := self.conditions:
            inputs[CONDITION] = conditions[position % len(conditions)]
        return self.replace(seed=seed, num_images=1, inputs=inputs)


class InterpolationRequest(SamplingRequest):
    """Frames from ``a`` to ``b``; each is ``seed:N``, or names the picture it stands for.

    With ``free_noise`` every frame draws its own noise; otherwise all share one (DYOD, fig. 6).
    """

    kind: Literal["interpolation"] = "interpolation"
    a: str
    b: str
    num_frames: int = Field(
        default=9, ge=2, le=MAX_FRAMES, title="Frames",
        description="How many pictures, ends included.",
    )  # fmt: skip
    free_noise: bool = Field(default=False, description="Draw new noise for each frame.")
    is_spherical: bool = Field(default=False, description="Move along the sphere, not the line.")
    frames: list[int] | None = Field(default=None, max_length=MAX_FRAMES)
    """Which of the frames are made, counted from 0; None for all."""

    @field_validator("a", "b")
    @classmethod
    def _check_end(cls, end: str, info: Any) -> str:
        if end.startswith(SEED_PREFIX) and not end.removeprefix(SEED_PREFIX).isdecimal():
            raise InvalidInputError(f"{info.field_name} must be a picture or seed:N, got {end!r}.")
        return end

    def seeds(self) -> list[int]:
        """The noise of each frame: one for all, or one each."""
        seeds = [self.first_seed()] * self.num_frames
        if self.free_noise:
            seeds = _count_on(self.first_seed(), self.num_frames)
        return seeds if self.frames is None else [seeds[index] for index in self.frames]

    def alone(self, position: int, seed: int) -> Self | None:
        """The request for one frame, where its noise does not depend on the others."""
        frames = list(range(self.num_frames)) if self.frames is None else self.frames
        if self.free_noise or not frames:
            return None
        return self.replace(seed=seed, frames=frames[position : position + 1])


class TraversalRequest(SamplingRequest):
    """Frames in which the coordinate of this rank runs over [-span, span]; all share a noise.

    The other coordinates stay those of the code that ``seed`` draws. Rank 0 is the coordinate that
    tells the pictures apart most.
    """

    kind: Literal["traversal"] = "traversal"
    coordinate: int = Field(ge=0, description="Rank of the coordinate, counted from 0.")
    span: float = Field(default=3.0, ge=0.01, le=10, description="How far to each side.")
    num_frames: int = Field(default=7, ge=2, le=MAX_FRAMES, description="How many pictures.")

    def seeds(self) -> list[int]:
        """The noise of each frame: one for all."""
        return [self.first_seed()] * self.num_frames


class PointRequest(SamplingRequest):
    """One image a latent point: the code of ``origin`` with some coordinates moved, by their ranks.

    ``origin`` is ``average`` (the code of zeros), ``seed:N``, or names the input file ``origin``.
    With ``spread`` s an image's code is sqrt(1 - s^2) z + s z', where z' is drawn by its own seed:
    near z when s is small, anywhere when it is 1.
    """

    kind: Literal["place", "near"] = "place"
    origin: str = AVERAGE
    places: list[dict[int, float]] = Field(default=[{}], min_length=1, max_length=MAX_FRAMES)
    spread: float = Field(
        default=0.0, ge=0, le=1, title="How far from it",
        description="How far from it, in [0, 1]: 0 keeps its shape.",
    )  # fmt: skip
    free_noise: bool = False

    @field_validator("places")
    @classmethod
    def _check_points(cls, points: list[dict[int, float]]) -> list[dict[int, float]]:
        for rank, value in (item for point in points for item in point.items()):
            if rank < 0:
                raise InvalidInputError(f"A trait is counted from 0, got {rank}.")
            if not -MAX_VALUE <= value <= MAX_VALUE:
                raise InvalidInputError(
                    f"Trait {rank} must lie in [-{MAX_VALUE:g}, {MAX_VALUE:g}], got {value:g}."
                )
        return points

    @classmethod
    def at(cls, origin: str, coordinates: Mapping[int, float], **values: Any) -> Self:
        """The request for the one image at a latent point."""
        return cls(kind="place", origin=origin, places=[dict(coordinates)], **values)

    @classmethod
    def near(cls, origin: str, num_images: int, spread: float, **values: Any) -> Self:
        """The request for new images near one, each with a code and a noise of its own."""
        if not 1 <= num_images <= MAX_NEAR:
            raise InvalidInputError(f"num_images must lie in [1, {MAX_NEAR}], got {num_images}.")
        points: list[dict[int, float]] = [{} for _ in range(num_images)]
        return cls(
            kind="near", origin=origin, places=points, spread=spread, free_noise=True, **values
        )

    @property
    def moved(self) -> dict[int, float]:
        """The coordinates of the first point that are not where the origin has them, by rank."""
        return {rank: value for rank, value in sorted(self.places[0].items()) if value}

    def seeds(self) -> list[int]:
        """The noise of each image: one for all, or one each."""
        if self.free_noise:
            return _count_on(self.first_seed(), len(self.places))
        return [self.first_seed()] * len(self.places)

    def alone(self, position: int, seed: int) -> Self | None:
        """The request for one of its images."""
        if position >= len(self.places):
            return None
        return self.replace(seed=seed, places=[self.places[position]])


AnyRequest = SampleRequest | InterpolationRequest | TraversalRequest | PointRequest
MAX_NEAR = 64

KINDS: dict[str, type[AnyRequest]] = {
    "prompt": SampleRequest,
    "distribution": SampleRequest,
    "image": SampleRequest,
    "interpolation": InterpolationRequest,
    "traversal": TraversalRequest,
    "place": PointRequest,
    "near": PointRequest,
}


def read_request(
    kind: str, values: Mapping[str, Any], inputs: Mapping[str, Path] | None = None
) -> AnyRequest:
    """The request of a row, or of what a picture carries; what is not the request's is left out.

    Raises:
        InvalidInputError: no request is of this kind or has such values.
    """
    if kind not in KINDS:
        raise InvalidInputError(f"A picture of kind {kind!r} cannot be made by this release.")
    model = KINDS[kind]
    stored = {**EARLIER, **{name: values[name] for name in model.model_fields if name in values}}
    if "first_seed" in values:
        stored["seed"] = values["first_seed"]
    return model(**{**stored, "kind": kind, "use": None, "inputs": dict(inputs or {})})


def condition_inputs(paths: Iterable[Path]) -> dict[str, Path]:
    """Condition pictures by the names that they have among a request's inputs."""
    return {
        CONDITION if number == 1 else f"{CONDITION}_{number}": path
        for number, path in enumerate(paths, start=1)
    }


def default_t0(kind: str, base: str, parts: Collection[str]) -> float:
    """The t0 of a request that gives none, for a set that nobody has measured yet.

    Args:
        kind: of the request. base: how the user named the base model. parts: kinds in use.
    """
    if kind in DEFAULT_T0:
        return DEFAULT_T0[kind]
    if "lora" in parts:
        return T0_OF_STRIPS if kind in STRIP_KINDS else T0_OF_STYLE
    is_after_examples = "anl" in parts and kind == "distribution"
    return CLOSEST_T0_OF_STARTER if base == STARTER and not is_after_examples else CLOSEST_T0


@dataclass(frozen=True, slots=True)
class SamplingProgress:
    """How far a request is: ``step`` of ``num_steps`` denoiser calls."""

    step: int
    num_steps: int


def _count_on(seed: int, number: int) -> list[int]:
    return [(seed + index) % SEEDS for index in range(number)]
