"""The fakes that tests use take what the real classes take."""

import inspect
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from dyod_studio.jobs.sampler_pool import SamplerPool
from dyod_studio.services.explore.prefetch import StripPrefetcher
from dyod_studio.services.studio import Studio
from dyod_studio.training.loop import TrainTask
from tests.browser.fake_app import StartedAtOnce
from tests.jobs import toy
from tests.services import test_live, test_walks, toy_method
from tests.training.toy import Toy
from tests.ui.fakes import build_fake_studio

HANDLES = {
    "FakeProjects": {"learn"},
    "FakeTraining": {"advance", "change", "fail", "save_state"},
    "StartedAtOnce": {"advance", "change", "fail", "save_state"},
    "FakeEvaluation": {"fail", "finish"},
    "FakePlaces": {"outdate"},
}
"""Methods by which a test moves a fake; nothing real stands behind them."""
OTHERS = (
    (Toy, TrainTask),
    (toy.ToyTask, TrainTask),
    (toy_method.ToyTask, TrainTask),
    (test_live.Sampler, SamplerPool),
    (test_walks.Gate, SamplerPool),
)
NOT_ASKED = {"doctor", "tokens", "augmenting"}
"""Services that only the command line calls: the page's fake has none."""


def fakes(folder: Path) -> Iterator[tuple[type, type]]:
    """Each fake class and the class that it stands for."""
    studio, real = build_fake_studio(folder), get_type_hints(Studio)
    for name in (field.name for field in fields(Studio) if field.name not in NOT_ASKED):
        yield type(getattr(studio, name)), real[name]
    yield type(studio.explore.prefetcher), StripPrefetcher
    yield StartedAtOnce, real["training"]
    yield from OTHERS


def parameters(method: Any) -> list[tuple[str, inspect._ParameterKind, object]]:
    """Name, kind and default of each."""
    found = inspect.signature(method).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in found]


def methods(cls: type) -> dict[str, Any]:
    return {
        name: method
        for name, method in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
    }


def drifted(fake: type, real: type) -> list[str]:
    """The fake's methods that the real class has not, or not with these parameters."""
    behind = methods(real)
    return [
        f"{fake.__name__}.{name}"
        for name, method in methods(fake).items()
        if name not in HANDLES.get(fake.__name__, set())
        and (name not in behind or parameters(method) != parameters(behind[name]))
    ]


def test_every_fake_takes_what_the_real_one_takes(tmp_path: Path):
    pairs = list(fakes(tmp_path))
    assert len(pairs) > 12
    assert [name for fake, real in pairs for name in drifted(fake, real)] == []


def test_every_handle_is_a_method_of_its_fake(tmp_path: Path):
    there = {fake.__name__: set(methods(fake)) for fake, _ in fakes(tmp_path)}
    assert {name: handles - there[name] for name, handles in HANDLES.items()} == {
        name: set() for name in HANDLES
    }


@pytest.mark.parametrize("change", ["missing", "renamed", "default"])
def test_a_fake_that_drifted_is_reported(change: str):
    class Real:
        def sample(self, ref: int, number: int = 1) -> None: ...

    class Missing:
        def draw(self, ref: int) -> None: ...

    class Renamed:
        def sample(self, ref: int, count: int = 1) -> None: ...

    class Default:
        def sample(self, ref: int, number: int = 2) -> None: ...

    fake = {"missing": Missing, "renamed": Renamed, "default": Default}[change]
    assert len(drifted(fake, Real)) == 1
