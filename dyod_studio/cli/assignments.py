"""Settings of a method as they are typed: ``--set key=value``."""

from collections.abc import Sequence
from typing import Annotated

import typer

from dyod_studio.errors import InvalidInputError

Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting of the method; repeatable."),
]


def parse_assignments(assignments: Sequence[str]) -> dict[str, object]:
    """``["steps=200"]`` as ``{"steps": "200"}``; the method's config reads the values.

    Raises:
        InvalidInputError: an entry has no ``=`` or names nothing, or a key comes twice.
    """
    values: dict[str, object] = {}
    for entry in assignments:
        key, equals, value = entry.partition("=")
        if not equals or not key.strip():
            raise InvalidInputError(f"--set takes key=value, got {entry!r}.")
        if key.strip() in values:
            raise InvalidInputError(f"--set gives {key.strip()!r} twice.")
        values[key.strip()] = value.strip()
    return values
