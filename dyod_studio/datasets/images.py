"""One picture file in, one upright RGB image out, or the reason why it cannot be used; its square.

Pillow is told which formats it may try, and every way in which a decoder gives up becomes a
sentence. An error of the machine itself (a full disk, too many open files) is no fault of the
picture and is raised as it is. Any of Pillow's colour modes becomes 8-bit sRGB: greys scaled, inks
converted, alpha flattened. A picture of any shape becomes the square that a base model is trained
on.
"""

import errno
import io
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from dyod_studio.datasets.caption_files import embedded_caption
from dyod_studio.errors import RejectedImageError
from dyod_studio.requests.cropping import CropMode

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
WHITE_LEVELS = (255.0, 65535.0, 4294967295.0)
"""Levels that may stand for white in a picture of 32-bit numbers, which does not say it."""
TIFF_BITS_PER_SAMPLE = 258
PROFILED_MODES = ("L", "RGB", "RGBA", "CMYK")


def to_rgb(image: Image.Image, background: Colour = WHITE) -> Image.Image:
    """Return the loaded image as 8-bit RGB; transparent places show ``background``."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _eight_bit_grey(image).convert("RGB")
    if image.has_transparency_data:
        return _flatten(_to_srgb(image.convert("RGBA")), background)
    return _to_srgb(image.convert("RGB") if image.mode == "P" else image).convert("RGB")


def _eight_bit_grey(image: Image.Image) -> Image.Image:
    """Scale so that the picture's own white becomes 255, instead of clipping what lies above it."""
    scale = 255.0 / _white_level(image)
    return image.convert("F").point(lambda value: value * scale + 0.5).convert("L")


def _white_level(image: Image.Image) -> float:
    """White of the file's bit depth; without one, the smallest usual white that holds the peak."""
    if image.mode.startswith("I;16"):
        bits = getattr(image, "tag_v2", {}).get(TIFF_BITS_PER_SAMPLE, (16,))[0]
        return float(2 ** min(max(bits, 1), 16) - 1)
    peak = float(np.asarray(image).max())
    levels = (1.0, *WHITE_LEVELS) if image.mode == "F" else WHITE_LEVELS
    return next((level for level in levels if peak <= level), peak)


def _to_srgb(image: Image.Image) -> Image.Image:
    """Follow the embedded colour profile; a profile that is damaged or unfit is left aside."""
    embedded = image.info.get("icc_profile")
    if not embedded or image.mode not in PROFILED_MODES:
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(embedded))
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return image
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, profile, srgb, outputMode=mode) or image
    except (ImageCms.PyCMSError, OSError):
        return image


def _flatten(image: Image.Image, background: Colour) -> Image.Image:
    flat = Image.new("RGB", image.size, background)
    flat.paste(image, mask=image.getchannel("A"))
    return flat


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
"""Errors that Pillow's decoders raise on hostile bytes, besides an OSError without a number."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Which pictures are worth, and safe, reading."""

    min_side_px: int = 32
    """Shorter pictures hold nothing to learn from."""
    max_pixels: int = 100_000_000
    """About 400 MB while it is read."""
    max_file_bytes: int = 200_000_000
    """Of one picture on disk or unpacked from an archive."""


ANY_SIZE = ReadLimits(min_side_px=1)
"""For pictures that the studio keeps already."""


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


def read_embedded_caption(path: Path) -> str:
    """Caption inside a readable picture; empty when there is none."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return embedded_caption(image)
    except _DECODER_ERRORS:  # its pixels are sound, what is written beside them is not
        return ""


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


ANALYSIS_SIDE_PX = 128
"""Longest side of the copy on which content and ground are looked for."""
GAIN_WORTH_MOVING = 1.02
"""How much more content than the centre a window must hold before the crop moves there."""
ALIKE_LEVELS = 14
"""How far colours of one plain ground may lie apart; JPEG moves them by some levels."""
PLAIN_SHARE = 0.9
"""Of the border, for a ground to be called plain: the subject may reach the edge here and there."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A square over the upright original, in its pixels; what lies beyond the picture is padded."""

    left: int
    top: int
    side: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom, as Pillow wants them."""
        return (self.left, self.top, self.left + self.side, self.top + self.side)

    def fits(self, size: tuple[int, int]) -> bool:
        """Whether it lies within (width, height) pixels, and where it is larger, around them."""
        return all(
            min(0, extent - self.side) <= start <= max(0, extent - self.side)
            for start, extent in zip((self.left, self.top), size, strict=True)
        )


def centre_crop(size: tuple[int, int]) -> Crop:
    """Return the largest square in the middle of a picture of (width, height) pixels."""
    width, height = size
    side = min(size)
    return Crop((width - side) // 2, (height - side) // 2, side)


def whole_crop(size: tuple[int, int]) -> Crop:
    """Return the smallest square that holds a picture of (width, height) pixels, in its middle."""
    width, height = size
    side = max(size)
    return Crop((width - side) // 2, (height - side) // 2, side)


def is_padded(mode: CropMode, *, is_plain: bool) -> bool:
    """Return whether a picture that is no square is padded, not cut."""
    return mode == CropMode.WHOLE or (mode == CropMode.AUTO and is_plain)


def choose_crop(image: Image.Image, mode: CropMode, *, is_plain: bool) -> Crop:
    """Return the square that is learned of an RGB image whose ground is plain, or not."""
    return whole_crop(image.size) if is_padded(mode, is_plain=is_plain) else content_crop(image)


def content_crop(image: Image.Image) -> Crop:
    """Return the largest square of an RGB image that holds most of what it shows.

    The square slides along the longer side to where edges and distance from the background's colour
    are greatest; a picture that is alike everywhere keeps its centre.
    """
    centre = centre_crop(image.size)
    width, height = image.size
    if width == height:
        return centre
    small = image.copy()
    small.thumbnail((ANALYSIS_SIDE_PX, ANALYSIS_SIDE_PX), Image.Resampling.BILINEAR, 2.0)
    profile = _content(small).sum(axis=0 if width > height else 1)
    start = _best_start(profile, window=min(small.size))
    offset = min(round(start * max(image.size) / len(profile)), max(image.size) - centre.side)
    if start < 0:
        return centre
    return Crop(offset, 0, centre.side) if width > height else Crop(0, offset, centre.side)


def prepare(image: Image.Image, crop: Crop, resolution: int) -> Image.Image:
    """Return the crop's square at ``resolution`` x ``resolution`` pixels, Lanczos-filtered.

    A picture smaller than that is enlarged. What lies beyond it has the colour of its border.
    """
    left, top, right, bottom = crop.box
    box = (max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height))
    if box == crop.box:
        return _resized(image.crop(box), (resolution, resolution))
    scale = resolution / crop.side
    edges = [round((at - start) * scale) for at, start in zip(box, (left, top) * 2, strict=True)]
    size = max(edges[2] - edges[0], 1), max(edges[3] - edges[1], 1)
    square = Image.new("RGB", (resolution, resolution), border_colour(image))
    square.paste(_resized(image.crop(box), size), (edges[0], edges[1]))
    return square


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def border_colour(image: Image.Image) -> Colour:
    """Return the median colour of an RGB image's border."""
    red, green, blue = np.median(_border(image), axis=0).round().astype(int).tolist()
    return (red, green, blue)


def plain_ground(image: Image.Image) -> str:
    """Return the colour of a plain ground as ``#rrggbb``; empty when the border shows more."""
    border = _border(image)
    colour = np.median(border, axis=0).round().astype(int)
    is_alike = np.abs(border - colour).max(axis=1) <= ALIKE_LEVELS
    return "#{:02x}{:02x}{:02x}".format(*colour) if is_alike.mean() >= PLAIN_SHARE else ""


def _border(image: Image.Image) -> NDArray[np.int16]:
    """(N, 3): the outermost pixels of a small copy."""
    small = image.copy()
    small.thumbnail((ANALYSIS_SIDE_PX, ANALYSIS_SIDE_PX), Image.Resampling.BILINEAR, 2.0)
    return _outermost(np.asarray(small, np.int16))


def _outermost(pixels: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def thumbnail(image: Image.Image, side: int = 256) -> bytes:
    """Return a WebP file of the whole picture, at most ``side`` pixels wide and high."""
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    file = io.BytesIO()
    small.save(file, "WEBP", quality=85)
    return file.getvalue()


def _content(image: Image.Image) -> NDArray[np.float32]:
    """(H, W): how much each pixel differs from its neighbours and from the border's colour."""
    pixels = np.asarray(image, np.float32)
    from_background = np.abs(pixels - np.median(_outermost(pixels), axis=0)).mean(axis=2)
    down = np.abs(np.diff(pixels, axis=0, append=pixels[-1:])).mean(axis=2)
    across = np.abs(np.diff(pixels, axis=1, append=pixels[:, -1:])).mean(axis=2)
    return from_background / 4 + down + across


def _best_start(profile: NDArray[np.float32], window: int) -> int:
    """First row of the window with the most content, -1 when the centre is as good.

    Among windows that hold practically the same the middle one is taken, so that an object on a
    plain ground ends up in the middle of its square.
    """
    total = np.concatenate([[0.0], np.cumsum(profile, dtype=np.float64)])
    held = total[window:] - total[:-window]
    best = held.max()
    if best <= GAIN_WORTH_MOVING * held[(len(held) - 1) // 2]:
        return -1
    candidates = np.flatnonzero(held >= best * 0.995)
    return int(candidates[len(candidates) // 2])
