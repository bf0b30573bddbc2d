"""Common ground of every command: the settings it was given and the studio made from them."""

import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from dyod_studio.bootstrap import command_line_studio
from dyod_studio.errors import InvalidInputError
from dyod_studio.services.studio import Studio
from dyod_studio.settings import Settings


@dataclass(frozen=True, slots=True)
class Options:
    """The options in front of the command."""

    storage: Path | None
    as_json: bool


def read_settings(options: Options) -> Settings:
    """The settings of the environment, with the storage folder that was asked for.

    Raises:
        InvalidInputError: a DYOD_* variable holds a value that its setting does not allow.
    """
    try:
        if options.storage is None:
            return Settings()
        return Settings(storage=options.storage)
    except ValidationError as exc:
        first = exc.errors()[0]
        name = f"DYOD_{'_'.join(str(part) for part in first['loc'])}".upper()
        raise InvalidInputError(f"{name}: {first['msg']}.") from exc


def settings_of(ctx: typer.Context) -> Settings:
    """The settings of this call. From here on, what libraries print goes to standard error."""
    ctx.with_resource(redirect_stdout(sys.stderr))
    settings = read_settings(ctx.find_object(Options) or Options(storage=None, as_json=False))
    check_writable(settings.storage, option="--storage")
    return settings


def studio_of(ctx: typer.Context) -> Studio:
    """The studio of this call, closed when the command ends."""
    return ctx.with_resource(command_line_studio(settings_of(ctx)))


def check_writable(path: Path, *, option: str) -> None:
    """Raise InvalidInputError unless files can be written below ``path``, made or still missing."""
    existing = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    if not existing.is_dir():
        raise InvalidInputError(f"{option} needs a folder, but {existing} is a file.")
    if not os.access(existing, os.W_OK):
        raise InvalidInputError(f"{option} cannot be written: no permission for {existing}.")


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
