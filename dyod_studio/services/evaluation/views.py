"""Settings and views of evaluations, for the Evaluate screen and ``evaluate``."""

from collections.abc import Sequence
from dataclasses import dataclass

from dyod_studio.errors import InvalidInputError
from dyod_studio.evaluation.advice import Advice
from dyod_studio.evaluation.plan import EVALUATION as EVALUATION
from dyod_studio.evaluation.plan import EvaluationConfig, Sweep
from dyod_studio.evaluation.results import METRICS as METRICS
from dyod_studio.evaluation.results import PointResult
from dyod_studio.requests.sampling import (
    DEFAULT_NOVELTY,
    DEFAULT_SAMPLER,
    DEFAULT_STEPS,
    Codes,
    Sampler,
    Spacing,
)
from dyod_studio.requests.titles import field_title
from dyod_studio.services.views import JobView

SWEEPS: dict[Sweep, tuple[str, str]] = {
    "t0": (field_title("t0"), "t0: how much may change"),
    "mask-rate": (field_title("mask_rate"), "mask rate"),
    "guidance": (field_title("guidance_scale"), "guidance"),
    "steps": (field_title("num_inference_steps"), "steps of the whole way"),
    "artifact": ("Trained parts", "trained part"),
    "none": ("As it draws now", ""),
}
"""What can be varied: its name for a choice, and what stands below a plot."""


def sweep_named(name: str) -> Sweep:
    """The sweep of that name.

    Raises:
        InvalidInputError: there is none.
    """
    for sweep in SWEEPS:
        if sweep == name:
            return sweep
    raise InvalidInputError(f"{name!r} cannot be swept: choose one of {', '.join(SWEEPS)}.")


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """Settings of an evaluation as a person gives them; see ``EvaluationConfig``.

    Args:
        use: kinds of the parts to draw with; None for what is usual.
        compare: the kind whose trained parts take turns in a sweep of artifacts.
    """

    sweep: Sweep = "t0"
    values: Sequence[float] = ()
    metrics: Sequence[str] = tuple(METRICS)
    num: int = 100
    extractors: Sequence[str] = ("base",)
    text: str = ""
    t0: float | None = None
    guidance_scale: float | None = None
    num_inference_steps: int = DEFAULT_STEPS
    codes: Codes = "near"
    novelty: float = DEFAULT_NOVELTY
    timestep_spacing: Spacing = "trailing"
    sampler: Sampler = DEFAULT_SAMPLER
    seed: int = 0
    has_baselines: bool = True
    use: Sequence[str] | None = None
    compare: str = "inversion"


@dataclass(frozen=True, slots=True)
class EvaluationView:
    """One evaluation with what is measured of it so far.

    ``points`` are the finished ones; ``summary`` is empty until there is something to say.
    """

    job: JobView
    config: EvaluationConfig
    points: tuple[PointResult, ...]
    num_points: int
    summary: tuple[str, ...]
    advice: Advice | None

    @property
    def swept(self) -> tuple[PointResult, ...]:
        return tuple(point for point in self.points if point.role == "sweep")

    @property
    def baselines(self) -> tuple[PointResult, ...]:
        return tuple(point for point in self.points if point.role != "sweep")

    @property
    def advice_metric(self) -> str | None:
        """Metric that the advice was read off."""
        return None if self.advice is None else self.advice.metric

    @property
    def extractors(self) -> tuple[str, ...]:
        """The names of what the pictures were compared with."""
        return tuple(self.points[0].figures) if self.points else ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The figures that were measured, in the order of the table."""
        found = {
            name for point in self.points for values in point.figures.values() for name in values
        }
        return tuple(name for name in METRICS if name in found)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the figures, each once."""
        return tuple(dict.fromkeys(note for point in self.points for note in point.notes))
