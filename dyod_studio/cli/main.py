"""The command line: everything a button does, for people and for programs.

Exit code 0: done; 1: the work failed; 2: what was asked for cannot be done as asked.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.main import get_command

from dyod_studio.bootstrap import serve as serve_page
from dyod_studio.cli import (
    artifacts,
    augmenting,
    evaluating,
    exploring,
    gallery,
    jobs,
    projects,
    sampling,
    training,
)
from dyod_studio.cli.output import Reply
from dyod_studio.cli.session import Options, settings_of, studio_of
from dyod_studio.errors import InvalidInputError, JobStateError, NotFoundError, StudioError

PROGRAM = "python -m dyod_studio"
ASKED_WRONGLY = (InvalidInputError, NotFoundError, JobStateError)


def main(arguments: Sequence[str]) -> int:
    """Run one command, write its reply to standard output and return the exit code."""
    as_json = "--json" in arguments
    try:
        result = _invoke(arguments or ["--help"])
    except typer.TyperException as exc:
        return _fail(exc.format_message(), exit_code=2, as_json=as_json)
    except typer.Abort:
        return _fail("Stopped.", exit_code=130, as_json=as_json)
    except ASKED_WRONGLY as exc:
        return _fail(str(exc), exit_code=2, as_json=as_json)
    except StudioError as exc:
        return _fail(str(exc), exit_code=1, as_json=as_json)
    if not isinstance(result, Reply):
        return result
    result.write(sys.stdout, as_json=as_json)
    return result.exit_code


def build_app() -> typer.Typer:
    """The tree of commands; each is a function that returns its Reply."""
    app = typer.Typer(
        name="dyod_studio",
        help="Turn a pretrained latent diffusion model into your own, and draw with it.",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_take_options)
    parts = (
        projects,
        training,
        jobs,
        sampling,
        exploring,
        gallery,
        artifacts,
        augmenting,
        evaluating,
    )
    for part in parts:
        part.register(app)
    for command in (doctor, serve):
        app.command(command.__name__)(command)
    return app


def _take_options(
    ctx: typer.Context,
    storage: Annotated[
        Path | None, typer.Option(help="Folder of everything the studio writes.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Answer with one JSON document on standard output.")
    ] = False,
) -> None:
    ctx.obj = Options(storage=storage, as_json=as_json)


def _invoke(arguments: Sequence[str]) -> Reply | int:
    """The reply of the command; an exit code where the parser has answered itself (--help)."""
    command = get_command(build_app())
    result: Reply | int = command.main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
    return result


def _fail(message: str, *, exit_code: int, as_json: bool) -> int:
    """Say in one sentence what is wrong: on standard output as JSON, else on standard error."""
    words = message.replace("Value error, ", "").split()
    sentence = " ".join(words).rstrip(".") + "."
    if as_json:
        sys.stdout.write(json.dumps({"error": sentence}) + "\n")
    else:
        sys.stderr.write(f"{sentence}\n")
    return exit_code


def doctor(ctx: typer.Context) -> Reply:
    """Say whether this machine can run the studio, and what to do where it cannot."""
    findings = studio_of(ctx).doctor.report()
    lines = []
    for finding in findings:
        lines.append(f"{'ok' if finding.is_ok else 'BAD':<4} {finding.name}: {finding.detail}")
        if finding.remedy:
            lines.append(f"     {finding.remedy}")
    return Reply({"findings": findings}, "\n".join(lines))


def serve(ctx: typer.Context) -> Reply:
    """Serve the page until it is stopped."""
    settings = settings_of(ctx)
    typer.echo(f"Serving http://{settings.host}:{settings.port}; Ctrl+C stops it.", err=True)
    serve_page(settings)
    return Reply({"served": True}, "The studio has stopped.")
