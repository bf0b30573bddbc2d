"""The command that enlarges a labelled set."""

from pathlib import Path
from typing import Annotated

import typer

from dyod_studio.cli.output import Reply, counted, plural
from dyod_studio.cli.projects import ProjectRef
from dyod_studio.cli.sampling import Guidance, Prompt, Steps, Strength
from dyod_studio.cli.session import check_writable, studio_of
from dyod_studio.services.augmentation.plan import AugmentSettings

Data = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="A folder whose folders are the classes; without it, the project's own pictures by "
        "the folder that each came from.",
    ),
]
MaskRate = Annotated[
    float, typer.Option(help="How freely pictures are read, in [0, 1): 0 sees all of them.")
]
Use = Annotated[
    list[str] | None,
    typer.Option(metavar="KIND", help="A trained part to draw with, an anl among them."),
]


def register(app: typer.Typer) -> None:
    """Add ``augment``."""
    app.command("augment")(augment)


def augment(
    ctx: typer.Context,
    project: ProjectRef,
    per_class: Annotated[int, typer.Option(help="How many new pictures each class gets.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder that gets them, by class.")],
    data: Data = None,
    mask_rate: MaskRate = 0.5,
    seed: Annotated[int, typer.Option(help="The same seed makes the same pictures.")] = 0,
    use: Use = None,
    strength: Strength = 1.0,
    prompt: Prompt = None,
    steps: Steps = 50,
    guidance: Guidance = None,
) -> Reply:
    """Make new pictures for each class of a labelled set; broken off, the same command goes on."""
    check_writable(out, option="--out")
    settings = AugmentSettings(
        per_class=per_class,
        out=out,
        data=data,
        mask_rate=mask_rate,
        seed=seed,
        use=tuple(use) if use else ("anl",),
        strength=strength,
        prompt=prompt,
        num_inference_steps=steps,
        guidance_scale=guidance,
    )
    with counted("Drawing", unit="picture") as on_progress:
        report = studio_of(ctx).augmenting.augment(project, settings, on_progress)
    lines = [
        f"Drew {plural(report.num_drawn, 'picture')} for {plural(report.num_classes, 'class')} "
        f"into {report.folder}; {report.num_kept} were there already."
    ]
    lines += [f"Left out: {name}: {reason}" for name, reason in report.left_out]
    return Reply(report, "\n".join(lines))
