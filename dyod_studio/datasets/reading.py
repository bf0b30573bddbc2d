"""One picture file in, one upright RGB image out, or the reason why it cannot be used.

Pillow is told which formats it may try, and every way in which a decoder gives up becomes a
sentence. An error of the machine itself (a full disk, too many open files) is no fault of the
picture and is raised as it is.
"""

import errno
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from dyod_studio.datasets.colours import WHITE, Colour, to_rgb
from dyod_studio.errors import RejectedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "HEIF", "AVIF")
HEAD_BYTES = 16
"""How much of a file ``image_suffix`` wants to see."""
NOT_AN_IMAGE = "is not an image (JPEG, PNG, WebP, BMP, GIF, TIFF, HEIC or AVIF)"

_SIGNATURES = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG\r\n": ".png",
    b"GIF8": ".gif",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"II+\0": ".tif",
    b"MM\0+": ".tif",
}
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), ".avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"), ".heic"),
}
SUPPORTED_SUFFIXES = (
    *dict.fromkeys((*_SIGNATURES.values(), *_BRANDS.values())),
    *(".webp", ".bmp", ".jpeg", ".tiff", ".heif"),
)
"""What a file dialog offers; when reading, the content counts and not the name."""

_FILE_TROUBLE = (errno.EACCES, errno.EPERM, errno.ENOENT, errno.EIO, errno.ESTALE)
_BAD_OFFSETS = (None, errno.EINVAL, errno.EOVERFLOW)
"""An OSError without a number is Pillow's own; the others come of seeking where a file says."""
_DECODER_ERRORS = (
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    RuntimeError,
    struct.error,
)
"""What Pillow's decoders raise on hostile bytes, besides an OSError without a number."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Which pictures are worth, and safe, reading."""

    min_side_px: int = 32
    """Shorter pictures hold nothing to learn from."""
    max_pixels: int = 100_000_000
    """About 400 MB while it is read."""
    max_file_bytes: int = 200_000_000
    """Of one picture on disk or unpacked from an archive."""


def image_suffix(head: bytes) -> str | None:
    """Return the suffix of the format that a file beginning with these bytes claims to be in."""
    if head.startswith(b"RIFF"):
        return ".webp" if head[8:12] == b"WEBP" else None
    if head.startswith(b"BM"):
        return ".bmp" if head[6:10] == bytes(4) else None
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    return next((suffix for start, suffix in _SIGNATURES.items() if head.startswith(start)), None)


def read_image(
    path: Path, *, background: Colour = WHITE, limits: ReadLimits | None = None
) -> Image.Image:
    """Return the picture upright, in 8-bit RGB, its transparent places in ``background``.

    An animation gives its first frame.

    Raises:
        RejectedImageError: the picture cannot be used; the message is the reason.
        OSError: the machine, not the picture, is in trouble.
    """
    limits = limits or ReadLimits()
    _set_up_pillow()
    try:
        _check_file(path, limits)
        with Image.open(path, formats=FORMATS) as image:
            _check_size(image.size, limits)
            image.load()
            return to_rgb(_upright(image), background)
    except Image.DecompressionBombError as exc:
        raise RejectedImageError(_too_many_pixels(limits)) from exc
    except OSError as exc:
        if exc.errno not in (*_BAD_OFFSETS, *_FILE_TROUBLE):
            raise
        raise RejectedImageError(_os_reason(exc)) from exc
    except _DECODER_ERRORS as exc:
        raise RejectedImageError("is damaged") from exc


def _set_up_pillow() -> None:
    """Teach Pillow HEIC; its warnings on odd files would reach nobody who can act on them."""
    import pillow_heif

    Image.init()
    pillow_heif.register_heif_opener()
    warnings.filterwarnings("ignore", module=r"PIL\.|pillow_heif")


def _check_file(path: Path, limits: ReadLimits) -> None:
    num_bytes = path.stat().st_size
    if num_bytes == 0:
        raise RejectedImageError("is empty")
    if num_bytes > limits.max_file_bytes:
        raise RejectedImageError(
            f"is {num_bytes / 1e6:,.0f} MB large; at most {limits.max_file_bytes / 1e6:,.0f} MB "
            "are read"
        )
    with path.open("rb") as file:
        if image_suffix(file.read(HEAD_BYTES)) is None:
            raise RejectedImageError(NOT_AN_IMAGE)


def _check_size(size: tuple[int, int], limits: ReadLimits) -> None:
    width, height = size
    if min(size) < limits.min_side_px:
        least = limits.min_side_px
        raise RejectedImageError(
            f"is {width} x {height} pixels; at least {least} x {least} are needed"
        )
    if width * height > limits.max_pixels:
        raise RejectedImageError(f"is {width} x {height} pixels: {_too_many_pixels(limits)}")


def _too_many_pixels(limits: ReadLimits) -> str:
    return f"has more than {limits.max_pixels / 1e6:,.0f} megapixels, which is not read"


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; EXIF data that cannot be understood is left aside."""
    try:
        return ImageOps.exif_transpose(image)
    except (OSError, *_DECODER_ERRORS):
        return image


def _os_reason(exc: OSError) -> str:
    if exc.errno in _FILE_TROUBLE:
        return f"cannot be read from the disk ({exc.strerror})"
    return "is cut off: its data ends early" if "truncated" in str(exc) else "is damaged"
