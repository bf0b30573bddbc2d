"""The pictures that a request starts from: each is read once before anything is written."""

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from dyod_studio.datasets.preparing import centre_crop
from dyod_studio.datasets.reading import read_image
from dyod_studio.errors import InvalidInputError, RejectedImageError
from dyod_studio.jobs.parameters import REGION

ASPECT_TOLERANCE = 0.01
"""A mask may be of another size than its picture, but not of another shape."""


def check_pictures(files: Mapping[str, Path]) -> None:
    """Refuse a file that is no picture, and a region of another shape than its picture.

    Args:
        files: by the names of a request's inputs.

    Raises:
        InvalidInputError: what is wrong, with the file's name.
    """
    sizes = {name: _size_of(path) for name, path in files.items()}
    if REGION not in sizes:
        return
    (width, height), (mask_width, mask_height) = sizes["image"], sizes[REGION]
    if abs(mask_width * height / (mask_height * width) - 1) > ASPECT_TOLERANCE:
        raise InvalidInputError(
            f"The region has {mask_width} x {mask_height} pixels and the picture "
            f"{width} x {height}: draw the region over the picture itself."
        )


def square_of(path: Path, *, is_mask: bool = False) -> Image.Image:
    """The middle square of a request's picture, RGB: all that the sampler reads of it.

    Args:
        is_mask: what is transparent is not marked.
    """
    image = read_image(path, background=(0, 0, 0)) if is_mask else read_image(path)
    return image.crop(centre_crop(image.size).box)


def _size_of(path: Path) -> tuple[int, int]:
    if not path.is_file():
        raise InvalidInputError(f"There is no picture {str(path)!r}.")
    try:
        return read_image(path).size
    except RejectedImageError as exc:
        raise InvalidInputError(f"{path.name} {exc}.".replace("..", ".")) from exc
