"""The part of the fake Studio that explores: strips fill three frames at a look."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.requests.sampling import InterpolationRequest, PointRequest, SamplingProgress
from dyod_studio.services.explore.strips import Step, StripPlan, around, interpolation, key_of
from dyod_studio.services.explore.views import (
    BookmarkView,
    FrameView,
    StripsView,
    TraitView,
    point_to_json,
)
from dyod_studio.services.views import GenerationView
from tests.ui.drawing import draw_picture

FRAMES_A_LOOK = 3
R = TypeVar("R", InterpolationRequest, PointRequest)


class FakePrefetcher:
    """Draws three frames whenever somebody looks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.begun: list[tuple[str, StripPlan]] = []
        self.drawn: dict[str, Path] = {}
        self.error: str | None = None

    def begin(self, visitor: str, plan: StripPlan) -> None:
        self.begun.append((visitor, plan))

    def look(self, visitor: str, plan: StripPlan) -> StripsView:
        if self.error is None:
            lacking = [step.key for step in plan.steps if step.key not in self.drawn]
            for key in lacking[:FRAMES_A_LOOK]:
                path = self._folder / "files" / f"{key}.png"
                self.drawn[key] = draw_picture(path, int(key[:6], 16) / 16**6)
        strips = tuple(
            tuple(FrameView(at, key, self.drawn.get(key)) for at, key in strip)
            for strip in plan.strips
        )
        done = sum(step.key in self.drawn for step in plan.steps)
        return StripsView(strips, done, len(plan.steps), self.error)

    def finished(self, visitor: str, plan: StripPlan) -> StripsView:
        view = self.look(visitor, plan)
        if not view.is_complete:
            raise InvalidInputError("Wait until the strip is whole.")
        return view


class FakeExploring:
    """Plans as the real one does; keeps what was asked."""

    def __init__(self, folder: Path, make: Callable[..., list[GenerationView]]) -> None:
        self.prefetcher = FakePrefetcher(folder)
        self.interpolations: list[InterpolationRequest] = []
        self.near_requests: list[PointRequest] = []
        self.kept: list[str] = []
        self._make = make

    def interpolation(self, ref: int | str, request: InterpolationRequest) -> StripPlan:
        if request.a == request.b:
            raise InvalidInputError("A and B are the same picture: choose another one for B.")
        self.interpolations.append(request)
        return interpolation(int(ref), _ready(request))

    def around(self, ref: int | str, request: PointRequest) -> StripPlan:
        return around(int(ref), _ready(request), 4)

    def point(self, ref: int | str, request: PointRequest) -> StripPlan:
        ready, what = _ready(request), tuple(request.moved.items())
        key = key_of(ready, what)
        return StripPlan(int(ref), ready, (Step(key, what),), (((0.0, key),),))

    def near(
        self, ref: int | str, request: PointRequest, on_progress: Any = None,
        *, visitor: str | None = None,
    ) -> list[GenerationView]:  # fmt: skip
        self.near_requests.append(request)
        return self._make(int(ref), "near", request, len(request.places), on_progress)

    def keep(self, ref: int | str, key: str, *, is_favorite: bool = False) -> None:
        if key not in self.prefetcher.drawn:
            raise NotFoundError("This picture is not drawn yet: wait until it is there.")
        self.kept.append(key)


class FakePlaces:
    """Keeps places and names in memory; there are four traits."""

    def __init__(self, exploring: FakeExploring) -> None:
        self._exploring = exploring
        self.names: dict[int, str] = {}
        self.saved: list[BookmarkView] = []

    def traits(self, ref: int | str) -> list[TraitView]:
        return [TraitView(rank, 2.0 / (rank + 1), self.names.get(rank, "")) for rank in range(4)]

    def name_trait(self, ref: int | str, rank: int, name: str) -> None:
        self.names[rank] = name

    def save(
        self, ref: int | str, name: str, point: PointRequest,
        on_progress: Callable[[SamplingProgress], None] | None = None,
    ) -> BookmarkView:  # fmt: skip
        if not name:
            raise InvalidInputError("A name has 1 to 60 characters, got 0.")
        walk = self._exploring.point(ref, point)
        view = self._exploring.prefetcher.look("", walk)
        thumbnail = view.strips[0][0].file
        assert thumbnail is not None
        number, created = len(self.saved) + 1, datetime(2026, 1, 2, tzinfo=UTC)
        self.saved.append(
            BookmarkView(number, name, thumbnail, point_to_json(point), True, created)
        )
        return self.saved[-1]

    def all(self, ref: int | str) -> Sequence[BookmarkView]:
        return self.saved[::-1]

    def get(self, ref: int | str, bookmark_id: int) -> BookmarkView:
        return next(view for view in self.saved if view.id == bookmark_id)

    def delete(self, ref: int | str, bookmark_id: int) -> None:
        self.saved = [view for view in self.saved if view.id != bookmark_id]

    def outdate(self) -> None:
        self.saved = [replace(view, is_reachable=False) for view in self.saved]


def _ready(request: R) -> R:
    return request.replace(base="starter", artifacts={"vae": "f" * 64}, seed=request.seed or 1)
