"""Colour words from pixels, and turned hues."""

import numpy as np
import numpy.typing as npt

from tools.starter.render import Pixels

Floats = npt.NDArray[np.float32]

BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "black": (20, 20, 24),
    "grey": (160, 162, 166),
    "red": (214, 52, 46),
    "orange": (244, 144, 40),
    "yellow": (252, 212, 70),
    "green": (86, 176, 84),
    "blue": (60, 120, 216),
    "light blue": (170, 214, 245),
    "purple": (136, 84, 196),
    "pink": (248, 170, 200),
    "brown": (132, 88, 56),
}
"""Named background colours, RGB bytes."""

_HUES = ((15, "red"), (42, "orange"), (68, "yellow"), (165, "green"), (258, "blue"),
         (290, "purple"), (342, "pink"), (361, "red"))  # fmt: skip


def main_colour(rgba: Pixels, least_share: float = 0.45) -> str | None:
    """The word for the colour that most of the icon has, or None where none prevails."""
    visible = rgba.reshape(-1, 4)[rgba.reshape(-1, 4)[:, 3] > 127][:, :3]
    if len(visible) < 50:
        return None
    words = _colour_words(_to_hsv(visible[:: max(1, len(visible) // 1000)]))
    found, counts = np.unique(words, return_counts=True)
    top = int(counts.argmax())
    return str(found[top]) if counts[top] >= least_share * len(words) else None


def turn_hue(rgba: Pixels, degrees: float) -> Pixels:
    """The same icon with every hue turned; greys stay."""
    hsv = _to_hsv(rgba[..., :3].reshape(-1, 3))
    hsv[:, 0] = (hsv[:, 0] + degrees) % 360
    out = rgba.copy()
    out[..., :3] = _to_rgb(hsv).reshape(rgba[..., :3].shape)
    return out


def _to_hsv(rgb: Pixels) -> Floats:
    """(N, 3) bytes to hue in degrees, saturation and value in [0, 1]."""
    x = rgb.astype(np.float32) / 255
    high, low = x.max(1), x.min(1)
    spread = high - low
    safe = np.maximum(spread, 1e-6)
    r, g, b = x.T
    hue = np.select(
        [high == r, high == g], [((g - b) / safe) % 6, (b - r) / safe + 2], (r - g) / safe + 4
    )
    saturation = spread / np.maximum(high, 1e-6)
    return np.stack([hue * 60, saturation, high], 1).astype(np.float32)


def _to_rgb(hsv: Floats) -> Pixels:
    hue, saturation, value = hsv.T
    channels = []
    for shift in (5, 3, 1):
        k = (shift + hue / 60) % 6
        channels.append(value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1))
    return (np.stack(channels, 1) * 255 + 0.5).astype(np.uint8)


def _colour_words(hsv: Floats) -> npt.NDArray[np.str_]:
    hue, saturation, value = hsv.T
    bounds = np.array([bound for bound, _ in _HUES])
    words = np.array([word for _, word in _HUES])[np.searchsorted(bounds, hue, side="right")]
    words = words.astype("U6")
    words[(words == "orange") & (value < 0.68)] = "brown"
    words[(words == "red") & (saturation < 0.5) & (value > 0.75)] = "pink"
    words[(words == "red") & (value < 0.5)] = "brown"
    words[saturation < 0.16] = "grey"
    words[(saturation < 0.16) & (value > 0.86)] = "white"
    words[value < 0.22] = "black"
    named: npt.NDArray[np.str_] = words
    return named
