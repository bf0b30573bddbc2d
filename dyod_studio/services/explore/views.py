"""Views of latent points: bookmarks, and strips as they are seen.

An end or origin is told as ``seed:N``, ``set:ID`` (a picture of the set), ``made:ID`` (one of the
gallery) or a path; an origin also as ``average``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dyod_studio.requests.sampling import AVERAGE, EARLIER, PointRequest

NUM_TRAITS = 8
"""How many traits have a slider: the ones that tell the pictures apart most."""
SPAN = 3
"""How far a slider goes to either side, in standard deviations."""
COMMON = (
    "t0", "seed", "num_inference_steps", "guidance_scale", "prompt", "use", "codes", "novelty",
    "timestep_spacing", "sampler",
)  # fmt: skip


def point_to_json(request: PointRequest) -> dict[str, Any]:
    """A latent point as its bookmark stores it and as the command line prints it."""
    use = None if request.use is None else list(request.use)
    return {
        **{name: getattr(request, name) for name in COMMON},
        "use": use,
        "strength": request.adapter_strength,
        "origin": request.origin,
        "values": {str(rank): value for rank, value in request.moved.items()},
    }


def point_from_json(stored: Mapping[str, Any]) -> PointRequest:
    """A bookmark's latent point.

    Raises:
        InvalidInputError: a value is out of bounds.
        TypeError, ValueError, KeyError, AttributeError: it is nothing that was stored.
    """
    unknown = set(stored) - {*COMMON, "strength", "origin", "values"}
    if unknown:
        raise KeyError(sorted(unknown)[0])
    coordinates = {int(rank): value for rank, value in stored["values"].items()}
    values = {**EARLIER, **{name: stored[name] for name in COMMON if name in stored}}
    strength = stored.get("strength", 1.0)
    origin = stored.get("origin", AVERAGE)
    return PointRequest.at(origin, coordinates, adapter_strength=strength, **values)


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
    """A saved latent point; ``settings`` are those of its request, as they are stored.

    ``is_reachable``: the shape model is still the one it was found in.
    """

    id: int
    name: str
    thumbnail: Path
    settings: Mapping[str, Any]
    is_reachable: bool
    created_at: datetime

    @property
    def point(self) -> PointRequest:
        """The request that draws it."""
        return point_from_json(self.settings)
