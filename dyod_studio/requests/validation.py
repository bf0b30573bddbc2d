"""Bounds read from a model's fields, and what pydantic refuses as one sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import annotated_types
from pydantic import BaseModel, ValidationError

OUT_OF_BOUNDS = ("greater_than", "less_than", "finite_number")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The range of a number field; ``has_low`` and ``has_high``: the bound itself is allowed."""

    low: float | None
    high: float | None
    has_low: bool = True
    has_high: bool = True

    def __str__(self) -> str:
        if self.high is None:
            return f"be {self.low:g} or more" if self.has_low else f"be more than {self.low:g}"
        opening, closing = "[" if self.has_low else "(", "]" if self.has_high else ")"
        return f"lie in {opening}{_number(self.low)}, {_number(self.high)}{closing}"


def bounds_of(model: type[BaseModel], name: str) -> Bounds:
    """The range that a field of a request model allows."""
    low: Any = None
    high: Any = None
    has_low, has_high = True, True
    for rule in model.model_fields[name].metadata:
        if isinstance(rule, annotated_types.Ge):
            low = rule.ge
        elif isinstance(rule, annotated_types.Gt):
            low, has_low = rule.gt, False
        elif isinstance(rule, annotated_types.Le):
            high = rule.le
        elif isinstance(rule, annotated_types.Lt):
            high, has_high = rule.lt, False
    return Bounds(low, high, has_low, has_high)


def sentence_of(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """The first thing that is wrong: the field, what it allows, and the value it was given.

    Args:
        model: whose fields name the bounds; None to take pydantic's own words.
    """
    first: Mapping[str, Any] = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    kind, context = first["type"], first.get("ctx", {})
    if kind == "value_error":
        message = str(context["error"]).rstrip(".")
        return f"{name}: {message}." if name else f"{message}."
    if kind.startswith(OUT_OF_BOUNDS) and model is not None and name in model.model_fields:
        return f"{name} must {bounds_of(model, name)}, got {_number(first['input'])}."
    if kind == "string_too_long":
        return f"{name} must be at most {context['max_length']} characters long."
    if kind == "literal_error":
        return f"{name} must be one of {_listed(context['expected'])}, got {first['input']!r}."
    reason = first["msg"][0].lower() + first["msg"][1:]
    return f"{name}: {reason}, got {_short(first['input'])}."


def _listed(expected: str) -> str:
    return expected.replace(" or ", ", ").replace("'", "")


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
