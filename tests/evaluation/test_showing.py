"""Which pictures of a point are kept to be looked at."""

import numpy as np
import torch
from PIL import Image, ImageFilter

from dyod_studio.evaluation.examples import Showcase, likeness
from dyod_studio.evaluation.features import Source


def picture(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC)


def test_likeness_is_of_the_pixels():
    assert likeness(picture(1), picture(1)) > 0.999
    assert likeness(picture(1), picture(1).filter(ImageFilter.GaussianBlur(2))) > 0.9
    assert likeness(picture(1), picture(2)) < 0.5
    assert likeness(Image.new("RGB", (9, 9)), picture(1)) == 0


def test_the_closest_the_strangest_and_the_copies_stay_on_disk_and_the_others_leave(tmp_path):
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(30, 48, generator=generator)
    sources = [Source(f"{n}", lambda n=n: picture(n)) for n in range(30)]
    names = [f"{n}.png" for n in range(30)]
    show = Showcase(tmp_path, real, sources, names, list(range(100, 130)))
    made = torch.randn(40, 48, generator=generator)
    made[7], made[9] = real[3], real[5]
    images = [picture(3 if seed == 7 else 1000 + seed) for seed in range(40)]
    for first in range(0, 40, 16):
        chunk = slice(first, first + 16)
        show.add(images[chunk], range(40)[chunk], made[chunk])
    assert [(s.seed, s.nearest, s.nearest_id) for s in show.copies] == [(7, "3.png", 103)]
    assert show.num_copies == 1
    scores = [shown.score for shown in (*show.best, *show.worst[::-1])]
    assert scores == sorted(scores, reverse=True)
    assert {shown.seed for shown in show.best} >= {7, 9}
    shown = {*show.strip, *(s.file for s in (*show.best, *show.worst, *show.copies))}
    assert {path.name for path in tmp_path.iterdir()} == shown
