"""Any of Pillow's colour modes to 8-bit sRGB: greys scaled, inks converted, alpha flattened."""

import io

import numpy as np
from PIL import Image, ImageCms

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
WHITE_LEVELS = (255.0, 65535.0, 4294967295.0)
"""What may stand for white in a picture of 32-bit numbers, which does not say it."""
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
