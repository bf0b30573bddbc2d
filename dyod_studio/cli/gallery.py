"""Commands for what was made: listed, marked, deleted, exported, brought in, made again."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from dyod_studio.cli.output import (
    Reply,
    copy_out,
    counted,
    describe,
    plural,
    sampling_progress,
    table,
)
from dyod_studio.cli.projects import ProjectRef
from dyod_studio.cli.session import check_writable, studio_of
from dyod_studio.errors import InvalidInputError
from dyod_studio.services.gallery.views import GalleryFilter

Day = Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="A day of this machine.")]
PictureId = Annotated[int, typer.Argument(metavar="ID", help="Number of a picture.")]
PictureIds = Annotated[list[int], typer.Argument(metavar="ID...", help="Numbers of pictures.")]


def register(app: typer.Typer) -> None:
    """Add ``gallery``, ``favorite``, ``discard``, ``export``, ``import``, ``recall``."""
    for command in (gallery, favorite, discard, export, recall):
        app.command(command.__name__)(command)
    app.command("import")(import_project)


def gallery(
    ctx: typer.Context,
    project: ProjectRef,
    offset: Annotated[int, typer.Option(min=0, help="How many of the newest to pass over.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="How many to list at most.")] = 1000,
    kind: Annotated[
        list[str] | None, typer.Option(help="How it was made; repeat for more kinds.")
    ] = None,
    part: Annotated[
        str | None, typer.Option(metavar="SHA256", help="A trained part it was drawn with.")
    ] = None,
    since: Day = None,
    until: Day = None,
    text: Annotated[str, typer.Option(help="Words, a seed, or a number.")] = "",
    favorites: Annotated[bool, typer.Option("--favorites", help="Favourites only.")] = False,
    bin_: Annotated[bool, typer.Option("--bin", help="What was deleted within a week.")] = False,
) -> Reply:
    """List what was made, the newest first: everything, or what the options say."""
    query = GalleryFilter(
        kinds=tuple(kind or ()),
        part=part,
        since=_day("--since", since),
        until=_day("--until", until),
        text=text,
        only_favorites=favorites,
        is_deleted=bin_,
    )
    gallery = studio_of(ctx).gallery
    count = gallery.count(project, query)
    views = gallery.page(project, offset, limit, query)
    rows = [(v.id, v.kind, v.seed, "yes" if v.is_favorite else "", v.file) for v in views]
    listed = table(("id", "kind", "seed", "favourite", "file"), rows) if rows else ""
    text = f"{len(views)} of {plural(count, 'picture')}."
    images = [{**describe(view, view.file), "is_favorite": view.is_favorite} for view in views]
    return Reply({"count": count, "images": images}, f"{listed}\n{text}".strip())


def favorite(
    ctx: typer.Context,
    picture: PictureId,
    off: Annotated[bool, typer.Option("--off", help="Take the mark away.")] = False,
) -> Reply:
    """Mark a picture as a favourite."""
    view = studio_of(ctx).gallery.favorite(picture, is_favorite=not off)
    what = "is a favourite" if view.is_favorite else "is no favourite"
    document = {"id": view.id, "is_favorite": view.is_favorite}
    return Reply(document, f"Picture {view.id} {what}.")


def discard(
    ctx: typer.Context,
    project: ProjectRef,
    pictures: PictureIds,
    undo: Annotated[bool, typer.Option("--undo", help="Bring them back out of the bin.")] = False,
) -> Reply:
    """Put pictures into the bin, which keeps them for a week."""
    gallery = studio_of(ctx).gallery
    if undo:
        gallery.restore(project, pictures)
    else:
        gallery.delete(project, pictures)
    what = "brought back" if undo else "put into the bin"
    document = {"ids": pictures, "is_deleted": not undo}
    return Reply(document, f"{plural(len(pictures), 'picture')} {what}.")


def export(
    ctx: typer.Context,
    project: ProjectRef,
    what: Annotated[
        Literal["gallery", "artifacts", "dataset", "project"],
        typer.Option(help="What the ZIP holds."),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.zip", help="The ZIP to write.")],
    picture: Annotated[
        list[int] | None,
        typer.Option(metavar="ID", help="Of the gallery this picture; repeat for more."),
    ] = None,
) -> Reply:
    """Write the gallery, the trained parts, the set with its captions or all to one ZIP file."""
    check_writable(out.parent, option="--out")
    report = studio_of(ctx).exports.export(project, what, out, picture or None)
    files = plural(report.num_files, "file")
    return Reply(report, f"Wrote {files}, {report.bytes} bytes, to {report.file}.")


def import_project(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", help="A whole exported project.")],
    name: Annotated[str | None, typer.Option(help="What it is called here.")] = None,
    base: Annotated[
        str | None, typer.Option(help="The base model, where it lies elsewhere on this machine.")
    ] = None,
) -> Reply:
    """Bring in a whole project from the file that ``export --what project`` wrote."""
    with counted("Bringing in", unit="file") as on_progress:
        made = studio_of(ctx).imports.import_project(
            file, name=name, base=base, on_progress=on_progress
        )
    text = (
        f"Project {made.project.id}, {made.project.name!r}: "
        f"{plural(made.num_pictures, 'picture')} of the set, "
        f"{plural(made.num_parts, 'trained part')}, {plural(made.num_images, 'picture')} made."
    )
    return Reply(made, text)


def recall(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.png", help="A picture made earlier.")],
    project: Annotated[
        str | None, typer.Option(help="Project that draws it; without it, the one that did.")
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Say how it was made, and draw nothing.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder that gets a copy.")] = None,
) -> Reply:
    """Make a picture again from its file; one of A1111 or InvokeAI as far as it maps."""
    if out is not None:
        check_writable(out, option="--out")
    recreation = studio_of(ctx).recreation
    if show:
        provenance = recreation.read(file, project)
        parameters = provenance.request.to_json()
        document: dict[str, Any] = {
            "kind": provenance.request.kind, "source": provenance.source,
            "screen": provenance.screen, "project": provenance.project_id, "parameters": parameters,
            "inputs": provenance.request.inputs, "notes": provenance.notes,
        }  # fmt: skip
        rows = [(name, value) for name, value in parameters.items() if value is not None]
        return Reply(document, "\n".join([table(("what", "value"), rows), *provenance.notes]))
    with sampling_progress("Drawing") as on_progress:
        made = recreation.recall(file, project, on_progress)
    (path,) = [made.picture.file] if out is None else copy_out([made.picture], out)
    words = f"NOT the same pixels: they differ by up to {made.difference} of 255 levels."
    if made.is_identical is not False:
        words = "The same pixels." if made.is_identical else "As far as it maps."
    document = {
        "image": describe(made.picture, path),
        "is_identical": made.is_identical,
        "difference": made.difference,
        "notes": made.provenance.notes,
    }
    text = "\n".join([str(path), words, *made.provenance.notes])
    return Reply(document, text, exit_code=1 if made.is_identical is False else 0)


def _day(option: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError as exc:
        raise InvalidInputError(
            f"{option} needs a day such as 2026-03-01, got {text[:40]!r}."
        ) from exc
