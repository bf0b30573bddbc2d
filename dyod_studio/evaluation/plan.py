"""Plan of an evaluation: one setting swept over its values, and baselines beside it.

No torch here: the page and the command line plan, a job measures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from dyod_studio.errors import InvalidInputError
from dyod_studio.evaluation.results import METRICS, check_metrics
from dyod_studio.requests.part_kinds import title_of
from dyod_studio.requests.sampling import (
    DEFAULT_NOVELTY,
    DEFAULT_SAMPLER,
    DEFAULT_STEPS,
    EARLIER,
    Codes,
    Sampler,
    Spacing,
)

EVALUATION = "evaluation"
"""The kind of the jobs that measure."""
Sweep = Literal["none", "t0", "mask-rate", "guidance", "steps", "artifact"]
Role = Literal["sweep", "prompt", "vae", "anl"]
TENTHS = tuple(number / 10 for number in range(1, 11))
DEFAULT_VALUES: dict[str, tuple[float, ...]] = {
    "none": (),
    "t0": TENTHS,
    "mask-rate": (0.0, *TENTHS[:-1]),
    "guidance": (1.0, 2.0, 3.0, 5.0, 7.5),
    "steps": (5, 10, 20, 35, 50),
    "artifact": (),
}
MOST_PICTURES = 30_000
FEWEST_PICTURES = 4
"""Of each set: every figure can be measured with so many."""
STRIP = 8
"""Pictures of the same seeds at each point."""
RANGES = {
    "t0": (0.0, 1.0),
    "mask-rate": (0.0, 0.99),
    "guidance": (0.0, 50.0),
    "steps": (1, 1000),
}


class EvaluationConfig(BaseModel):
    """Settings of one evaluation job; all of them stand in the job's row."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sweep: Sweep = "t0"
    """The setting that is varied; none measures the project as it draws now."""
    values: tuple[float, ...] = ()
    """What the setting is set to, one point each; empty for the usual values."""
    metrics: tuple[str, ...] = tuple(METRICS)
    """The figures, by their short names."""
    num: int = Field(100, ge=FEWEST_PICTURES, le=MOST_PICTURES)
    """Pictures made at each point."""
    extractors: tuple[str, ...] = ("base",)
    """What the pictures are compared with: base, inception, folders or hub ids."""
    text: str = ""
    """What the pictures should show, in words, for CLIP-T."""
    t0: float = Field(0.5, ge=0, le=1)
    """Where another setting is swept."""
    guidance_scale: float | None = Field(None, ge=0)
    num_inference_steps: int = Field(DEFAULT_STEPS, ge=1, le=1000)
    codes: Codes = "near"
    """Where the codes that seeds draw come from."""
    novelty: float = Field(DEFAULT_NOVELTY, ge=0, le=1)
    timestep_spacing: Spacing = "trailing"
    sampler: Sampler = DEFAULT_SAMPLER
    seed: int = Field(0, ge=0)
    """The first seed; every point has the same ones."""
    has_baselines: bool = True
    artifacts: dict[str, str] = Field(default_factory=dict)
    """The trained parts in use: kind to SHA-256."""
    compared: dict[str, str] = Field(default_factory=dict)
    """Parts that take turns in a sweep of artifacts: SHA-256 to what it is called."""
    anl: str | None = None
    """SHA-256 of the ANL that is compared with, or whose mask rate is swept."""
    anl_hears: bool = True
    """Whether it draws after pictures: it was trained with a condition."""

    @field_validator("metrics")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return check_metrics(names)
        except InvalidInputError as exc:
            raise ValueError(str(exc)) from exc

    @model_validator(mode="after")
    def _in_range(self) -> "EvaluationConfig":
        low, high = RANGES.get(self.sweep, (float("-inf"), float("inf")))
        for value in self.values:
            if not low <= value <= high:
                raise ValueError(f"{self.sweep} must lie in [{low:g}, {high:g}], got {value:g}.")
        return self


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of everything, at which pictures are made and measured.

    Args:
        name: how it is called in tables.
        value: of the swept setting; None for a baseline.
        start: what the reverse process starts from.
        is_conditioned: an ANL draws after the pictures of the set, each in its turn.
        parts: the trained parts, kind to SHA-256.
    """

    name: str
    role: Role
    value: float | None
    start: Literal["prompt", "distribution"]
    t0: float
    num_inference_steps: int
    guidance_scale: float | None
    mask_rate: float
    is_conditioned: bool
    parts: Mapping[str, str]
    codes: Codes
    novelty: float
    timestep_spacing: Spacing
    sampler: Sampler

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that decide the pictures, for the report and to know the point again."""
        return {**asdict(self), "parts": dict(self.parts)}


def points_of(config: EvaluationConfig) -> list[Point]:
    """The points of the sweep in their order, then the baselines."""
    if config.sweep == "artifact":
        points = [_of_part(config, index, sha256) for index, sha256 in enumerate(config.compared)]
    else:
        values: Sequence[float | None] = config.values or DEFAULT_VALUES[config.sweep] or (None,)
        points = [_swept(config, value) for value in values]
    return points + (_baselines(config) if config.has_baselines else [])


def baseline_name(role: str) -> str:
    """Name of a baseline in tables, plots and sentences."""
    if role == "anl":
        return f"{title_of(role)} (ANL)"
    return f"The {role if role == 'prompt' else title_of(role).lower()} alone"


def check_numbers(num_made: int, num_real: int) -> None:
    """Raise InvalidInputError when one of the sets is too small to be measured."""
    if min(num_made, num_real) < FEWEST_PICTURES:
        raise InvalidInputError(
            f"Figures need at least {FEWEST_PICTURES} pictures in each set, got {num_made} made "
            f"ones and {num_real} of the project: add pictures."
        )


def read_evaluation(values: Mapping[str, Any]) -> EvaluationConfig:
    """The configuration of a job's row."""
    return EvaluationConfig.model_validate({**EARLIER, **values})


def _swept(config: EvaluationConfig, value: float | None) -> Point:
    sweep = config.sweep
    t0 = value if sweep == "t0" and value is not None else config.t0
    has_vae = "vae" in config.artifacts and sweep != "mask-rate"
    is_of_anl = sweep == "mask-rate" and config.anl is not None
    return Point(
        name="as it draws now" if value is None else f"{sweep} {value:g}",
        role="sweep",
        value=value,
        start="distribution" if has_vae else "prompt",
        t0=t0 if has_vae else 1.0,
        num_inference_steps=int(value)
        if sweep == "steps" and value
        else (config.num_inference_steps),
        guidance_scale=value if sweep == "guidance" else config.guidance_scale,
        mask_rate=value if sweep == "mask-rate" and value is not None else 0.0,
        is_conditioned=is_of_anl,
        parts={"anl": str(config.anl)} if is_of_anl else config.artifacts,
        **_starts(config),
    )


def _of_part(config: EvaluationConfig, index: int, sha256: str) -> Point:
    name = config.compared[sha256]
    kind = name.split()[0]
    has_vae = kind == "vae" or "vae" in config.artifacts
    return Point(
        name=name,
        role="sweep",
        value=float(index + 1),
        start="distribution" if has_vae else "prompt",
        t0=config.t0 if has_vae else 1.0,
        num_inference_steps=config.num_inference_steps,
        guidance_scale=config.guidance_scale,
        mask_rate=0.0,
        is_conditioned=False,
        parts={**config.artifacts, kind: sha256},
        **_starts(config),
    )


def _baselines(config: EvaluationConfig) -> list[Point]:
    without_anl = {kind: sha for kind, sha in config.artifacts.items() if kind != "anl"}
    found = [_baseline(config, "prompt", "prompt", 1.0, without_anl)]
    if "vae" in config.artifacts:
        found.append(_baseline(config, "vae", "distribution", 0.0, without_anl))
    if config.anl is not None and config.sweep != "mask-rate":
        found.append(_baseline(config, "anl", "prompt", 1.0, {"anl": config.anl}))
    return found


def _baseline(
    config: EvaluationConfig,
    role: Role,
    start: Literal["prompt", "distribution"],
    t0: float,
    parts: Mapping[str, str],
) -> Point:
    return Point(
        name=baseline_name(role),
        role=role,
        value=None,
        start=start,
        t0=t0,
        num_inference_steps=config.num_inference_steps,
        guidance_scale=config.guidance_scale,
        mask_rate=0.0,
        is_conditioned=role == "anl" and config.anl_hears,
        parts=parts,
        **_starts(config),
    )


def _starts(config: EvaluationConfig) -> dict[str, Any]:
    """How each point begins, which no sweep varies."""
    return config.model_dump(include={"codes", "novelty", "timestep_spacing", "sampler"})
