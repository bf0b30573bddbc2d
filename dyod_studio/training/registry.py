"""Settings of training methods, and a method loaded by the name of the kind that it trains.

Which methods there are is said by ``requests.part_kinds``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import BaseModel as PydanticModel
from pydantic import ConfigDict, Field, ValidationError

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.part_kinds import load_reference, training_methods
from dyod_studio.requests.part_records import TrainingMethod
from dyod_studio.requests.validation import sentence_of
from dyod_studio.training.run import Event


class MethodConfig(PydanticModel):
    """Settings all methods share; each adds its own and may choose other defaults."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    steps: int = Field(500, ge=1, le=100_000, title="Steps")
    """Optimiser updates. More fits the set closer and takes longer, in proportion."""
    seed: int = Field(0, ge=0, lt=2**31, title="Seed")
    """Decides every random draw; the same seed and settings give the same result."""
    batch_size: int = Field(4, ge=1, le=256, title="Batch size")
    """Pictures an update looks at. More is steadier and takes more memory and time."""
    learning_rate: float = Field(1e-3, gt=0, le=1, title="Learning rate")
    """Size of one update. Halve it when the loss jumps, double it when nothing moves."""
    checkpoint_every: int = Field(200, ge=1, title="Checkpoint every")
    """Steps between saved states of the run."""
    preview_every: int = Field(100, ge=1, title="Preview every")
    """Steps between preview pictures; previews take time too."""


class PromptedConfig(MethodConfig):
    """Settings of a method that learns beside a prompt, which may say a word learned before."""

    word: str = Field("", pattern=r"^([0-9a-f]{64})?$", title="Learned word")
    """SHA-256 of the trained inversion whose word the prompt says; the studio looks it up."""


@dataclass(frozen=True, slots=True)
class Method:
    """A loaded method: its settings class and ``run(config, base, dataset, run)``."""

    name: str
    info: TrainingMethod
    config_class: type[MethodConfig]
    run: Callable[..., Iterator[Event]]


def load_method(name: str) -> Method:
    """Import the method's file.

    Raises:
        InvalidInputError: there is no such method.
    """
    methods = training_methods()
    if name not in methods:
        known = ", ".join(methods)
        raise InvalidInputError(f"There is no method {name!r}: choose one of {known}.")
    info = methods[name]
    config_class = load_reference(info.config)
    return Method(name, info, config_class, import_module(info.config.partition(":")[0]).run)


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
        raise InvalidInputError(sentence_of(exc, config_class)) from exc
