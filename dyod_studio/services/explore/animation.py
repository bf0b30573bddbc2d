"""Frames as something that moves: an animated GIF, a video, a strip of sprites."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import av
from PIL import Image

from dyod_studio.disk import write_beside_and_rename
from dyod_studio.errors import InvalidInputError

MAX_FPS = 60.0
DEFAULT_FPS = 12.0
VIDEO_SIDE_PX = 512
"""Frames that are smaller are enlarged for a video: players show it at its own size."""
SPRITE_WIDTH_PX = 8192
"""A strip that would be wider goes on in a second row: many programs read no wider picture."""
GIF_COLOURS = 256
SUFFIXES = {"gif": ".gif", "mp4": ".mp4", "sprite": ".png"}


def write_gif(frames: Sequence[Path], out: Path, *, fps: float = DEFAULT_FPS) -> None:
    """Write an endless GIF; all frames share one palette, so that nothing flickers."""
    images = _opened(frames, fps)
    width, height = images[0].size
    sheet = Image.new("RGB", (width, height * len(images)))
    for index, image in enumerate(images):
        sheet.paste(image, (0, index * height))
    palette = sheet.quantize(GIF_COLOURS, method=Image.Quantize.MEDIANCUT)
    first, *others = [image.quantize(palette=palette) for image in images]
    with write_beside_and_rename(check_name(out, "gif")) as partial:
        first.save(
            partial, "GIF", save_all=True, append_images=others, duration=round(1000 / fps), loop=0
        )


def write_mp4(frames: Sequence[Path], out: Path, *, fps: float = DEFAULT_FPS) -> None:
    """Write an H.264 video that every browser plays."""
    images = [_for_video(image) for image in _opened(frames, fps)]
    with (
        write_beside_and_rename(check_name(out, "mp4")) as partial,
        av.open(str(partial), "w", format="mp4") as container,
    ):
        stream = container.add_stream("libx264", rate=round(fps), options={"crf": "14"})
        stream.width, stream.height = images[0].size
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode())


def write_sprite(frames: Sequence[Path], out: Path, *, fps: float = DEFAULT_FPS) -> None:
    """Write one PNG with all frames side by side, and beside it a JSON that says where each is."""
    images = _opened(frames, fps)
    width, height = images[0].size
    columns = min(len(images), max(1, SPRITE_WIDTH_PX // width))
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height))
    places = [(index % columns * width, index // columns * height) for index in range(len(images))]
    for image, place in zip(images, places, strict=True):
        sheet.paste(image, place)
    facts = {
        "image": out.name,
        "frame_width": width,
        "frame_height": height,
        "columns": columns,
        "fps": fps,
        "frames": [
            {"index": i, "x": x, "y": y, "at": i / max(len(images) - 1, 1)}
            for i, (x, y) in enumerate(places)
        ],
    }
    with write_beside_and_rename(check_name(out, "sprite")) as partial:
        sheet.save(partial, "PNG")
    with write_beside_and_rename(out.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


WRITERS: dict[str, Callable[..., None]] = {
    "gif": write_gif,
    "mp4": write_mp4,
    "sprite": write_sprite,
}


def there_and_back(frames: Sequence[Path]) -> list[Path]:
    """The frames and, without the two ends, the way back: a loop without a jump."""
    return [*frames, *frames[-2:0:-1]]


def check_name(out: Path, form: str) -> Path:
    """The file's name; refused when it does not say what the file is.

    Raises:
        InvalidInputError: which ending it must have.
    """
    if out.suffix.lower() != SUFFIXES[form]:
        raise InvalidInputError(f"{form} needs a file named *{SUFFIXES[form]}, got {out.name!r}.")
    return out


def _opened(frames: Sequence[Path], fps: float) -> list[Image.Image]:
    if not frames:
        raise InvalidInputError("There is no frame yet to write.")
    if not 0 < fps <= MAX_FPS:
        raise InvalidInputError(f"fps must lie in (0, {MAX_FPS:g}], got {fps:g}.")
    images = []
    for path in frames:
        with Image.open(path) as image:
            images.append(image.convert("RGB"))
    return images


def _for_video(image: Image.Image) -> Image.Image:
    """Even sides, as the colour format wants them, and large enough to be seen."""
    scale = max(1.0, VIDEO_SIDE_PX / max(image.size))
    width, height = (max(2, round(side * scale / 2) * 2) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)
