"""Commands for trained parts: list, take out, bring in, choose; and rare tokens."""

from pathlib import Path
from typing import Annotated

import typer

from dyod_studio.cli.output import Reply, table
from dyod_studio.cli.projects import ProjectRef
from dyod_studio.cli.session import check_writable, studio_of
from dyod_studio.services.artifacts import TrainedPart

Which = Annotated[
    str,
    typer.Argument(metavar="PART", help="Number of the part, or a kind: the one in use then."),
]


def register(app: typer.Typer) -> None:
    """Add ``artifact ...`` and ``tokens ...``."""
    artifact = typer.Typer(help="List, take out, bring in and choose trained parts.")
    artifact.command("list")(list_all)
    artifact.command("export")(export)
    artifact.command("import")(import_file)
    artifact.command("use")(use)
    app.add_typer(artifact, name="artifact")
    tokens = typer.Typer(help="Look words up in a base model's vocabulary.", no_args_is_help=True)
    tokens.callback()(_one_of_several)
    tokens.command("rare")(rare)
    app.add_typer(tokens, name="tokens")


def list_all(ctx: typer.Context, project: ProjectRef) -> Reply:
    """List the trained parts of a project, the newest first."""
    parts = studio_of(ctx).artifacts.list(project)
    if not parts:
        return Reply({"artifacts": []}, "Nothing is trained yet.")
    titles = ("id", "kind", "title", "in use", "bytes", "from")
    rows = [
        (part.id, part.kind, part.title, "yes" if part.is_in_use else "", part.bytes, _origin(part))
        for part in parts
    ]
    return Reply({"artifacts": parts}, table(titles, rows))


def export(
    ctx: typer.Context,
    project: ProjectRef,
    part: Which,
    out: Annotated[
        Path, typer.Option(metavar="PATH", help="A folder, or a name that ends in .safetensors.")
    ],
) -> Reply:
    """Write a trained part as the files that other tools load."""
    check_writable(out.parent, option="--out")
    files = studio_of(ctx).artifacts.export(project, part, out)
    return Reply({"files": files}, "\n".join(str(file) for file in files))


def import_file(
    ctx: typer.Context,
    project: ProjectRef,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .safetensors file, or a control net's folder.")
    ],
    token: Annotated[
        str | None, typer.Option(help="What a textual inversion is called, such as <my-style>.")
    ] = None,
) -> Reply:
    """Bring in a LoRA, textual inversion or control net made elsewhere, or an exported part."""
    part = studio_of(ctx).artifacts.import_file(project, file, token=token)
    called = f" Say {part.token} in prompts." if part.token else ""
    return Reply(part, f"Imported {part.title} as part {part.id}, {part.kind}.{called}")


def use(
    ctx: typer.Context,
    project: ProjectRef,
    part: Annotated[int, typer.Argument(metavar="ID", help="Number of the part.")],
) -> Reply:
    """Draw with an earlier part of its kind again."""
    chosen = studio_of(ctx).artifacts.use(project, part)
    return Reply(chosen, f"{chosen.title} is in use for {chosen.kind}, as part {chosen.id}.")


def rare(
    ctx: typer.Context,
    base: Annotated[
        str | None, typer.Option(help="starter, a folder, a hub id or a .safetensors file.")
    ] = None,
    class_noun: Annotated[str, typer.Option(help="What the subject is.")] = "thing",
    num: Annotated[int, typer.Option(help="How many.")] = 10,
) -> Reply:
    """List words that mean next to nothing to a base model: names for a new subject."""
    found = studio_of(ctx).tokens.rare(class_noun, base, num)
    rows = [(token.text, token.place, f"{token.shift:.4f}") for token in found]
    return Reply({"tokens": found}, table(("token", "place in the vocabulary", "shift"), rows))


def _one_of_several() -> None:
    """Keeps the command's own name, though it is the only one."""


def _origin(part: TrainedPart) -> str:
    if part.imported_from is not None:
        return part.imported_from
    return "-" if part.job_id is None else f"job {part.job_id}"
