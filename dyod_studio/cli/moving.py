"""Options that write the frames of a way as something that moves."""

from pathlib import Path
from typing import Annotated

import typer

from dyod_studio.cli.reply import Reply
from dyod_studio.cli.session import check_writable
from dyod_studio.studio.exploring.moving import DEFAULT_FPS, WRITERS, check_name, there_and_back

Gif = Annotated[Path | None, typer.Option(metavar="FILE.gif", help="Also write an endless GIF.")]
Mp4 = Annotated[Path | None, typer.Option(metavar="FILE.mp4", help="Also write a video (H.264).")]
Sprite = Annotated[
    Path | None,
    typer.Option(metavar="FILE.png", help="Also write all frames in one PNG, with a JSON beside."),
]
Fps = Annotated[float, typer.Option(help="Frames a second of what moves.")]
Back = Annotated[bool, typer.Option("--back", help="Let GIF and video go there and back again.")]
FPS = DEFAULT_FPS


def check_moving(gif: Path | None, mp4: Path | None, sprite: Path | None) -> dict[str, Path]:
    """What shall be written, by its form; refused before anything is drawn when it cannot be."""
    given = {"gif": gif, "mp4": mp4, "sprite": sprite}
    wanted = {form: path for form, path in given.items() if path is not None}
    for form, path in wanted.items():
        check_name(path, form)
        check_writable(path.parent, option=f"--{form}")
    return wanted


def write_moving(reply: Reply, wanted: dict[str, Path], fps: float, *, is_back: bool) -> Reply:
    """Write the pictures of a reply as was asked for, and say so in it."""
    files = [Path(image["file"]) for image in reply.document["images"]]
    for form, out in wanted.items():
        goes_back = is_back and form != "sprite"
        WRITERS[form](there_and_back(files) if goes_back else files, out, fps=fps)
    told = "\n".join([reply.text, *(str(out) for out in wanted.values())])
    return Reply({**reply.document, **wanted}, told)
