"""Choice of what is learned of a picture that is no square."""

from enum import StrEnum


class CropMode(StrEnum):
    """Choice of the square that is learned of a picture that is none itself."""

    AUTO = "auto"
    """Padded where the ground is plain, cut elsewhere."""
    WHOLE = "whole"
    """Padded to a square."""
    CONTENT = "content"
    """Cut to the square that shows most."""


CROP_TITLES = {
    CropMode.AUTO: "whole where the ground is plain, cut elsewhere",
    CropMode.WHOLE: "whole, with their border's colour around them",
    CropMode.CONTENT: "cut to the square that shows most",
}
