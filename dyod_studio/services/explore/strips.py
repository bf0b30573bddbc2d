"""From what is asked to frames: which there are, in which order they are drawn, and their names.

Nothing is drawn here. The first frames show the whole way coarsely, the later ones fill it.
"""

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dyod_studio.requests.sampling import AnyRequest, InterpolationRequest, PointRequest
from dyod_studio.services.explore.views import SPAN

Moved = tuple[tuple[int, float], ...]
"""Traits that are moved: (rank, by how much), in the order of their ranks."""


@dataclass(frozen=True, slots=True)
class Step:
    """One frame: its name, and what it is; the index of a way's frame, or a place."""

    key: str
    what: int | Moved


@dataclass(frozen=True, slots=True)
class StripPlan:
    """Frames to be drawn, the most telling first, and the strips that they make up.

    ``request`` lacks only which of the frames are to be made. A strip is (position on the slider,
    key).
    """

    project_id: int
    request: InterpolationRequest | PointRequest
    steps: tuple[Step, ...]
    strips: tuple[tuple[tuple[float, str], ...], ...]

    @property
    def moved(self) -> dict[int, float]:
        """The point that the strips are around: its moved coordinates, rank to deviations."""
        what = self.steps[0].what
        return {} if isinstance(what, int) else dict(what)


def interpolation(project_id: int, request: InterpolationRequest) -> StripPlan:
    """The plan of the one strip from A to B."""
    count = request.num_frames
    steps = {index: Step(key_of(request, index), index) for index in range(count)}
    strip = tuple((float(index), steps[index].key) for index in range(count))
    frames = tuple(steps[index] for index in coarse_first(count))
    return StripPlan(project_id, request, frames, (strip,))


def around(project_id: int, request: PointRequest, num_traits: int) -> StripPlan:
    """The plan of a latent point: the point itself, then a strip along each of the traits."""
    steps: dict[str, Step] = {}
    moved = request.moved

    def step(point: Mapping[int, float]) -> str:
        what = tuple((rank, value) for rank, value in sorted(point.items()) if value)
        key = key_of(request, what)
        steps.setdefault(key, Step(key, what))
        return key

    here = step(moved)
    strips: list[dict[float, str]] = [{} for _ in range(num_traits)]
    for values in ((-SPAN, SPAN), range(1 - SPAN, SPAN)):
        for rank, strip in enumerate(strips):
            for value in values:
                strip[float(value)] = step({**moved, rank: float(value)})
            strip[float(moved.get(rank, 0.0))] = here
    return StripPlan(
        project_id,
        request,
        tuple(steps.values()),
        (((0.0, here),), *(tuple(sorted(strip.items())) for strip in strips)),
    )


def portion(plan: StripPlan, steps: Sequence[Step]) -> AnyRequest:
    """The request for some frames of a plan."""
    return plan.request.replace(**_chosen(steps))


def alone(parameters: Mapping[str, Any], step: Step) -> dict[str, Any]:
    """The parameters that a drawn frame carries: as if it had been asked for alone."""
    return {**parameters, **_chosen([step]), "position": 0}


def coarse_first(count: int) -> list[int]:
    """0 to ``count`` - 1: the ends and the middle first, then what halves the widest gaps."""
    if count < 3:
        return list(range(count))
    return [0, (count - 1) // 2, count - 1, *_halving(count)]


def _halving(count: int) -> Iterator[int]:
    middle = (count - 1) // 2
    gaps = deque([(0, middle), (middle, count - 1)])
    while gaps:
        low, high = gaps.popleft()
        if high - low > 1:
            middle = (low + high) // 2
            yield middle
            gaps += [(low, middle), (middle, high)]


def key_of(request: AnyRequest, what: int | Moved) -> str:
    """A name that two frames share only when they are the same picture."""
    frame = request.replace(**_chosen([Step("", what)]))
    files = {name: path.stem for name, path in frame.inputs.items()}
    text = json.dumps([frame.kind, frame.to_json(), files], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _chosen(steps: Sequence[Step]) -> dict[str, Any]:
    """The parameters that say which frames are wanted."""
    indices = [step.what for step in steps if isinstance(step.what, int)]
    if indices:
        return {"frames": indices}
    return {"places": [dict(step.what) for step in steps if isinstance(step.what, tuple)]}
