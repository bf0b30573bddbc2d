"""The methods that can be trained, by name. Adding one is a line here and a file beside."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from dyod_studio.errors import InvalidInputError
from dyod_studio.training.config import MethodConfig
from dyod_studio.training.events import Event


@dataclass(frozen=True, slots=True)
class MethodInfo:
    """A method as it is offered; ``module`` and ``config`` are loaded when it is used."""

    name: str
    title: str
    summary: str
    module: str
    config: str


METHODS = {
    info.name: info
    for info in (
        MethodInfo(
            "inversion",
            "Learn the word",
            "Finds the word that means your whole set, so that a prompt can say it.",
            "dyod_studio.training.textual_inversion",
            "InversionConfig",
        ),
        MethodInfo(
            "vae",
            "Learn the shapes",
            "Learns a small generator of your set: new pictures from nothing, and the sliders.",
            "dyod_studio.training.initial_vae",
            "VaeConfig",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Method:
    """A loaded method: its settings class and ``run(config, base, dataset, run_dir, resume)``."""

    info: MethodInfo
    config_class: type[MethodConfig]
    run: Callable[..., Iterator[Event]]


def load_method(name: str) -> Method:
    """Import the method's file.

    Raises:
        InvalidInputError: there is no such method.
    """
    if name not in METHODS:
        known = ", ".join(METHODS)
        raise InvalidInputError(f"There is no method {name!r}: choose one of {known}.")
    info = METHODS[name]
    module = import_module(info.module)
    return Method(info, getattr(module, info.config), module.run)


def parse_config(name: str, values: Mapping[str, Any]) -> MethodConfig:
    """Check a method's settings, given as numbers or as text.

    Raises:
        InvalidInputError: the first thing that is wrong, with its value and what is allowed.
    """
    config_class = load_method(name).config_class
    unknown = sorted(set(values) - set(config_class.model_fields))
    if unknown:
        known = ", ".join(config_class.model_fields)
        raise InvalidInputError(f"{name} has no setting {unknown[0]!r}: it knows {known}.")
    try:
        return config_class.model_validate(dict(values))
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        reason = first["msg"][0].lower() + first["msg"][1:]
        raise InvalidInputError(f"{field}: {reason}, got {first['input']!r}.") from exc
