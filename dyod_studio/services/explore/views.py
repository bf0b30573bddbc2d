"""What can be asked about the codes of the shape model: places, what lies near, and what is seen.

An end or origin is told as ``seed:N``, ``set:ID`` (a picture of the set), ``made:ID`` (one of the
gallery) or a path; an origin also as ``average``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.sampling import AVERAGE, MAX_IMAGES, Denoising

MAX_VALUE = 10.0
NUM_TRAITS = 8
"""How many traits have a slider: the ones that tell the pictures apart most."""
SPAN = 3
"""How far a slider goes to either side, in standard deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceSettings(Denoising):
    """A place: ``origin``, with traits moved from there by ``values`` (rank to deviations)."""

    origin: str = AVERAGE
    values: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        Denoising.__post_init__(self)
        for rank, value in self.values.items():
            if rank < 0:
                raise InvalidInputError(f"A trait is counted from 0, got {rank}.")
            if not -MAX_VALUE <= value <= MAX_VALUE:
                raise InvalidInputError(
                    f"Trait {rank} must lie in [-{MAX_VALUE:g}, {MAX_VALUE:g}], got {value:g}."
                )

    @property
    def moved(self) -> dict[int, float]:
        """The traits that are not where the origin has them, in their order."""
        return {rank: float(self.values[rank]) for rank in sorted(self.values) if self.values[rank]}

    def as_json(self) -> dict[str, Any]:
        """What is stored of it."""
        use = None if self.use is None else list(self.use)
        return {**asdict(self), "use": use, "values": self.moved}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "PlaceSettings":
        """What was stored, as settings again.

        Raises:
            InvalidInputError: a value is out of bounds.
            TypeError, ValueError, KeyError, AttributeError: it is nothing that was stored.
        """
        use, values = stored["use"], {int(rank): value for rank, value in stored["values"].items()}
        return cls(**{**stored, "use": None if use is None else tuple(use), "values": values})


@dataclass(frozen=True, slots=True, kw_only=True)
class NearSettings(Denoising):
    """New pictures near one: ``spread`` 0 keeps its shape, 1 forgets it."""

    origin: str
    spread: float = 0.35
    num_images: int = 4

    def __post_init__(self) -> None:
        Denoising.__post_init__(self)
        if not 0 <= self.spread <= 1:
            raise InvalidInputError(f"spread must lie in [0, 1], got {self.spread:g}.")
        if not 1 <= self.num_images <= MAX_IMAGES:
            raise InvalidInputError(
                f"num_images must lie in [1, {MAX_IMAGES}], got {self.num_images}."
            )


@dataclass(frozen=True, slots=True)
class FrameView:
    """A frame of a strip; ``at`` is where it lies on its slider, ``file`` None while it lacks."""

    at: float
    key: str
    file: Path | None


@dataclass(frozen=True, slots=True)
class StripsView:
    """How far a walk is: its strips, and why it cannot go on, if so."""

    strips: tuple[tuple[FrameView, ...], ...]
    done: int
    total: int
    error: str | None = None

    @property
    def is_complete(self) -> bool:
        return self.done == self.total

    @property
    def is_over(self) -> bool:
        """Nothing more will come by itself."""
        return self.is_complete or self.error is not None


@dataclass(frozen=True, slots=True)
class TraitView:
    """A coordinate of the shape model; ``name`` is what a person calls it, or empty."""

    rank: int
    kl: float
    name: str

    @property
    def label(self) -> str:
        return self.name or f"Trait {self.rank + 1}"


@dataclass(frozen=True, slots=True)
class BookmarkView:
    """A saved place. ``is_reachable``: the shape model is still the one it was found in."""

    id: int
    name: str
    thumbnail: Path
    settings: PlaceSettings
    is_reachable: bool
    created_at: datetime
