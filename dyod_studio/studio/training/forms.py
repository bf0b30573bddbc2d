"""A method's typed settings: what a form needs to know of each, and back to a config."""

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from dyod_studio.studio.views import FieldKind, FieldView
from dyod_studio.training.config import MethodConfig
from dyod_studio.training.registry import load_method, parse_config

HIDDEN_FIELDS = {"token", "templates", "word"}
"""Settings that the page does not ask for: the project gives the token and the word."""


def field_views(config_class: Any) -> tuple[FieldView, ...]:
    """Every setting of a method that a person may choose."""
    fields: dict[str, FieldInfo] = config_class.model_fields
    return tuple(
        _field_view(name, field) for name, field in fields.items() if name not in HIDDEN_FIELDS
    )


def config_for(token: str, method: str, values: Mapping[str, Any]) -> MethodConfig:
    """The settings of a run in a project whose word is ``token``.

    Raises:
        InvalidInputError: there is no such method or setting, or a value is wrong.
    """
    own = {"token": token} if load_method(method).info.teaches_set else {}
    return parse_config(method, own | dict(values))


def _field_view(name: str, field: FieldInfo) -> FieldView:
    bounds = {key: getattr(rule, key) for rule in field.metadata for key in _bounds_of(rule)}
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return FieldView(
        name=name,
        title=field.title or name,
        help=" ".join((field.description or "").split()),
        kind="choice" if choices else _kind(field.annotation),
        default=field.default,
        minimum=bounds.get("ge", bounds.get("gt")),
        maximum=bounds.get("le", bounds.get("lt")),
        choices=tuple(str(choice) for choice in choices),
    )


def _bounds_of(rule: Any) -> list[str]:
    return [key for key in ("ge", "gt", "le", "lt") if hasattr(rule, key)]


def _kind(annotation: Any) -> FieldKind:
    kinds: dict[Any, FieldKind] = {int: "int", float: "float", bool: "bool"}
    return kinds.get(annotation, "str")
