"""Commands for projects and their pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dyod_studio.cli.output import Reply, counted, plural, table
from dyod_studio.cli.session import studio_of
from dyod_studio.requests.cropping import CROP_TITLES, CropMode
from dyod_studio.services.captions import Edit
from dyod_studio.services.views import ImportReport, ProjectView

ProjectRef = Annotated[str, typer.Argument(metavar="PROJECT", help="Name or number.")]


def register(app: typer.Typer) -> None:
    """Add ``project ...``, ``dataset ...`` and ``caption ...``."""
    project = typer.Typer(help="Make, list, show and delete projects.")
    project.command("create")(create)
    project.command("list")(list_all)
    project.command("show")(show)
    project.command("delete")(delete)
    app.add_typer(project, name="project")
    dataset = typer.Typer(help="Bring pictures into a project.")
    dataset.command("add")(add)
    dataset.command("examples")(examples)
    dataset.command("crop")(crop)
    app.add_typer(dataset, name="dataset")
    caption = typer.Typer(help="List and change what the pictures of a set are said to show.")
    caption.command("list")(captions)
    caption.command("set")(say)
    caption.command("edit")(edit_captions)
    app.add_typer(caption, name="caption")


def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    base: Annotated[
        str | None,
        typer.Option(help="starter, a folder, a hub id or a .safetensors file."),
    ] = None,
) -> Reply:
    """Make a project on a base model."""
    project = studio_of(ctx).projects.create(name, base)
    return Reply(
        project,
        f"Made project {project.id}, {project.name!r}, on the base model {project.base!r}. "
        f"Its word is {project.token}.",
    )


def list_all(ctx: typer.Context) -> Reply:
    """List all projects."""
    projects = studio_of(ctx).projects.all()
    if not projects:
        return Reply({"projects": []}, "There are no projects yet.")
    rows = [(p.id, p.name, p.base, p.num_pictures, ", ".join(p.artifacts) or "-") for p in projects]
    return Reply({"projects": projects}, table(("id", "name", "base", "pictures", "trained"), rows))


def show(ctx: typer.Context, project: ProjectRef) -> Reply:
    """Show one project."""
    view = studio_of(ctx).projects.get(project)
    return Reply(view, _describe(view))


def delete(ctx: typer.Context, project: ProjectRef) -> Reply:
    """Delete a project with its pictures, trained parts and gallery."""
    projects = studio_of(ctx).projects
    view = projects.get(project)
    projects.delete(project)
    return Reply(
        {"deleted": {"id": view.id, "name": view.name}},
        f"Deleted project {view.id}, {view.name!r}.",
    )


def add(
    ctx: typer.Context,
    project: ProjectRef,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Pictures, folders and ZIP files.")
    ],
) -> Reply:
    """Bring in pictures, folders and ZIP files; say what was left out and why."""
    with counted("Reading pictures", unit="file") as on_progress:
        report = studio_of(ctx).projects.add_pictures(project, paths, on_progress)
    return Reply(report, _tell(report))


def examples(ctx: typer.Context, project: ProjectRef) -> Reply:
    """Bring in the example pictures that the studio ships."""
    report = studio_of(ctx).projects.add_examples(project)
    return Reply(report, _tell(report))


def crop(
    ctx: typer.Context,
    project: ProjectRef,
    mode: Annotated[
        CropMode,
        typer.Option(
            help="whole (padded to a square), content (cut where it shows most), or auto: whole "
            "where the ground is plain, cut elsewhere."
        ),
    ] = CropMode.AUTO,
) -> Reply:
    """Choose what is learned of pictures that are no squares, these and those to come."""
    pictures = studio_of(ctx).pictures
    pictures.crop_all(project, mode)
    view = pictures.check(project)
    return Reply(
        {"crop_mode": mode.value, "not_square": view.num_not_square},
        f"{plural(view.num_not_square, 'picture')} that are no squares: {CROP_TITLES[mode]}.",
    )


def captions(ctx: typer.Context, project: ProjectRef) -> Reply:
    """List the captions, and how many pictures bear each tag."""
    view = studio_of(ctx).captions.all(project)
    rows = [
        (line.picture_id, line.name, "" if line.is_own else "file name", line.caption)
        for line in view.lines
    ]
    listed = table(("id", "picture", "said by", "caption"), rows) if rows else "No pictures yet."
    return Reply({"captions": view.lines, "tags": view.tags}, listed)


def say(
    ctx: typer.Context,
    project: ProjectRef,
    picture: Annotated[int, typer.Argument(metavar="ID", help="As caption list says it.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Empty: what the file's name says.")],
) -> Reply:
    """Say what one picture shows."""
    count = studio_of(ctx).captions.write(project, {picture: text})
    return Reply({"changed": count}, f"{plural(count, 'caption')} changed.")


def edit_captions(
    ctx: typer.Context,
    project: ProjectRef,
    edit: Annotated[Edit, typer.Argument(help="What is done to every caption.")],
    words: Annotated[str, typer.Argument(metavar="WORDS", help="Put in, out, or replaced.")] = "",
    by: Annotated[str, typer.Option(help="What replaces the words.")] = "",
) -> Reply:
    """Change all captions at once: put words before or after, replace, remove or clear."""
    count = studio_of(ctx).captions.edit(project, edit, words, by)
    return Reply({"changed": count}, f"{plural(count, 'caption')} changed.")


def _describe(view: ProjectView) -> str:
    rows: Sequence[tuple[str, object]] = (
        ("project", f"{view.id}, {view.name}"),
        ("base model", view.base),
        ("word", view.token),
        ("pictures", view.num_pictures),
        ("trained", ", ".join(view.artifacts) or "nothing yet"),
        ("made", view.created_at.isoformat(sep=" ", timespec="seconds")),
    )
    return "\n".join(f"{title:<11} {value}" for title, value in rows)


def _tell(report: ImportReport) -> str:
    lines = [f"{plural(report.accepted, 'picture')} accepted."]
    lines += [f"Left out: {entry.file}: {entry.reason}" for entry in report.rejected]
    lines += [f"Left out: {entry.file}: repeats {entry.of}" for entry in report.duplicates]
    return "\n".join(lines)
