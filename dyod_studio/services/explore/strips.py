"""From what is asked to frames: which there are, in which order they are drawn, and their names.

Nothing is drawn here. The first frames show the whole way coarsely, the later ones fill it.
"""

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dyod_studio.requests.sampling import read_parameters
from dyod_studio.services.explore.views import SPAN
from dyod_studio.services.sampling.dispatcher import Asked

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

    ``asked`` lacks only which of the frames are wanted. A strip is (place on the slider, key).
    """

    asked: Asked
    steps: tuple[Step, ...]
    strips: tuple[tuple[tuple[float, str], ...], ...]

    @property
    def place(self) -> dict[int, float]:
        """The place that a walk is around: its moved traits, rank to deviations."""
        what = self.steps[0].what
        return {} if isinstance(what, int) else dict(what)


def interpolation(asked: Asked) -> StripPlan:
    """The walk from A to B of a request of kind ``interpolation``: one strip."""
    count = asked.parameters["num_frames"]
    steps = {index: Step(key_of(asked, index), index) for index in range(count)}
    strip = tuple((float(index), steps[index].key) for index in range(count))
    return StripPlan(asked, tuple(steps[index] for index in coarse_first(count)), (strip,))


def around(asked: Asked, moved: Mapping[int, float], num_traits: int) -> StripPlan:
    """The walk around a place: the place itself, then a strip along each of the traits."""
    steps: dict[str, Step] = {}

    def step(place: Mapping[int, float]) -> str:
        what = tuple((rank, value) for rank, value in sorted(place.items()) if value)
        key = key_of(asked, what)
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
        asked,
        tuple(steps.values()),
        (((0.0, here),), *(tuple(sorted(strip.items())) for strip in strips)),
    )


def portion(walk: StripPlan, steps: Sequence[Step]) -> Asked:
    """The request for some frames of a walk."""
    asked = walk.asked
    return Asked(asked.project_id, asked.kind, {**asked.parameters, **_chosen(steps)}, asked.files)


def alone(parameters: Mapping[str, Any], step: Step) -> dict[str, Any]:
    """What a drawn frame says of itself: as if it had been asked for alone."""
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


def key_of(asked: Asked, what: int | Moved) -> str:
    """A name that two frames share only when they are the same picture."""
    parameters = read_parameters(asked.kind, {**asked.parameters, **_chosen([Step("", what)])})
    files = {name: path.stem for name, path in asked.files.items()}
    text = json.dumps([asked.kind, parameters.model_dump(mode="json"), files], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _chosen(steps: Sequence[Step]) -> dict[str, Any]:
    """The parameters that say which frames are wanted."""
    indices = [step.what for step in steps if isinstance(step.what, int)]
    if indices:
        return {"frames": indices}
    return {"places": [dict(step.what) for step in steps if isinstance(step.what, tuple)]}
