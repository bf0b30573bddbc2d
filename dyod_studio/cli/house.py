"""Commands about the studio itself: ``doctor`` and ``serve``."""

import typer

from dyod_studio.bootstrap import serve as serve_page
from dyod_studio.cli.reply import Reply
from dyod_studio.cli.session import settings_of, studio_of


def register(app: typer.Typer) -> None:
    """Add ``doctor`` and ``serve``."""
    app.command("doctor")(doctor)
    app.command("serve")(serve)


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
