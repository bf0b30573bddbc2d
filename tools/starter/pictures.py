"""The training pictures of CLIP and UNet: each icon in several looks, with captions and weights.

Shapes: N pictures, S pixels a side. ``pictures.npy`` holds (N, S, S, 3) bytes; the rows of
``pictures.json`` say what each one is.
"""

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from tools.starter.captions import COLOURS, Look, captions, pair_caption, plain_names
from tools.starter.colours import BACKGROUNDS, main_colour, turn_hue
from tools.starter.corpus import Sheet
from tools.starter.heldout import HeldOut
from tools.starter.names import sampling_weight
from tools.starter.render import Pixels

Icon = tuple[Sheet, int]
PAIR_SHARE = 0.06
_PLACES = {"small": (0.5, 0.5), "on the left": (0.27, 0.5), "on the right": (0.73, 0.5)}


@dataclass(frozen=True, slots=True)
class Row:
    """One training picture."""

    pack: str
    name: str
    captions: Sequence[str]
    weight: float
    """How often it is drawn, relative to the others."""


def write_pictures(
    icons: Iterable[Icon], held_out: HeldOut, folder: Path, *, num_pairs: int, seed: int = 0
) -> int:
    """Make every picture, once; returns how many there are."""
    if (folder / "pictures.json").exists():
        return len(read_rows(folder))
    rng = random.Random(seed)
    seen = [icon for icon in icons if not held_out.hides(icon[0].pack.key, icon[0].names[icon[1]])]
    made = [look for icon in seen for look in _looks(icon, rng)]
    single_weight = sum(row.weight for _, row in made)
    pair_weight = PAIR_SHARE * single_weight / max(1, num_pairs)
    made += [_pair(seen, pair_weight, rng) for _ in range(num_pairs)]
    np.save(folder / "pictures.npy", np.stack([image for image, _ in made]))
    (folder / "pictures.json").write_text(json.dumps([asdict(row) for _, row in made]))
    return len(made)


def read_rows(folder: Path) -> list[Row]:
    """What the pictures are."""
    return [Row(**row) for row in json.loads((folder / "pictures.json").read_text())]


def hash_rows(rows: Iterable[Row]) -> str:
    """The same for the same pictures and captions only."""
    return hashlib.sha256(repr(list(rows)).encode()).hexdigest()[:16]


def read_images(folder: Path) -> Pixels:
    """(N, S, S, 3) bytes, left on disk until they are read."""
    images: Pixels = np.load(folder / "pictures.npy", mmap_mode="r")
    return images


def on_background(rgba: Pixels, colour: npt.ArrayLike = (255, 255, 255)) -> Pixels:
    """Paint one icon over one colour."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    mixed = rgba[..., :3] * alpha + np.asarray(colour, np.float32) * (1 - alpha)
    return np.asarray(mixed + 0.5, np.uint8)


def _looks(icon: Icon, rng: random.Random) -> Iterator[tuple[Pixels, Row]]:
    sheet, i = icon
    rgba = np.array(sheet.pixels[i])
    name, style, colour = sheet.names[i], sheet.pack.style, main_colour(rgba)
    weight = sampling_weight(name)

    def made(image: Pixels, look: Look, share: float, count: int = 3) -> tuple[Pixels, Row]:
        said = captions(name, look, rng, count)
        return image, Row(sheet.pack.key, name, said, weight * share)

    yield made(on_background(rgba), Look(style, colour), 0.40, 6)
    flipped = np.roll(rgba[:, ::-1], rng.randint(-3, 3), 1)
    yield made(on_background(flipped), Look(style, colour), 0.2)
    for word in rng.sample([w for w in BACKGROUNDS if w not in ("white", colour)], 2):
        painted = on_background(rgba, _near(BACKGROUNDS[word], rng))
        yield made(painted, Look(style, colour, background=word), 0.06)
    place = rng.choice(list(_PLACES))
    small = on_background(_placed(rgba, _PLACES[place], rng.uniform(0.4, 0.52)))
    yield made(small, Look(style, colour, place=place), 0.06)
    for turned, word in _recoloured(rgba, name, colour, rng):
        yield made(on_background(turned), Look(style, word, is_recoloured=True), 0.08)


def _recoloured(
    rgba: Pixels, name: str, colour: str | None, rng: random.Random
) -> Iterator[tuple[Pixels, str]]:
    if colour in (None, "white", "black", "grey") or "face" in name:
        return
    found: dict[str, Pixels] = {}
    for degrees in rng.sample(range(40, 330, 30), 10):
        turned = turn_hue(rgba, degrees)
        word = main_colour(turned)
        if word in COLOURS and word != colour:
            found.setdefault(word, turned)
    for word in list(found)[:3]:
        yield found[word], word


def _pair(icons: Sequence[Icon], weight: float, rng: random.Random) -> tuple[Pixels, Row]:
    """Two things of one style side by side."""
    weights = [sampling_weight(sheet.names[i]) for sheet, i in icons]
    sheet, left = rng.choices(icons, weights)[0]
    same = [(row, w) for (other, row), w in zip(icons, weights, strict=True) if other is sheet]
    right = rng.choices([row for row, _ in same], [w for _, w in same])[0]
    canvas = _placed(np.array(sheet.pixels[left]), (0.26, 0.5), 0.48)
    other_half = _placed(np.array(sheet.pixels[right]), (0.74, 0.5), 0.48)
    is_right = other_half[..., 3:] > canvas[..., 3:]
    image = on_background(np.where(is_right, other_half, canvas))
    words = [rng.choice(plain_names(sheet.names[row])) for row in (left, right)]
    said = [pair_caption(words[0], words[1], style) for style in (sheet.pack.style, None)]
    return image, Row(sheet.pack.key, f"{sheet.names[left]}+{sheet.names[right]}", said, weight)


def _placed(rgba: Pixels, centre: tuple[float, float], scale: float) -> Pixels:
    size = rgba.shape[0]
    side = round(size * scale)
    small = Image.fromarray(rgba).resize((side, side), Image.Resampling.LANCZOS)
    canvas = Image.new("RGBA", (size, size))
    canvas.paste(small, (round(centre[0] * size - side / 2), round(centre[1] * size - side / 2)))
    return np.asarray(canvas)


def _near(colour: Sequence[int], rng: random.Random) -> npt.NDArray[np.float32]:
    return np.clip(np.array([c + rng.uniform(-14, 14) for c in colour], np.float32), 0, 255)
