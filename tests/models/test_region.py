"""Drawing a part of a picture again: the rest keeps every bit, at any size of base and mask."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.base import fit
from dyod_studio.models.customised import CustomisedModel, SamplingConfig
from dyod_studio.models.region import region_of

SKETCH = Image.linear_gradient("L").convert("RGB").rotate(30, fillcolor="red")
FEW = SamplingConfig(t0=0.8, num_inference_steps=5, prompt="a photo of a cat", guidance_scale=3)


def disc(side: int = 256, box: tuple[float, ...] = (0.2, 0.3, 0.7, 0.8)) -> Image.Image:
    mask = Image.new("L", (side, side), 0)
    ImageDraw.Draw(mask).ellipse([side * share for share in box], fill=255)
    return mask


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.int16)


def test_outside_of_the_region_every_bit_stays_and_inside_something_changes(base):
    model = CustomisedModel(base)
    side = base.resolution
    before = pixels(fit(SKETCH, side))
    mask = disc()
    outside = np.asarray(mask.resize((side, side), Image.Resampling.NEAREST)) == 0
    first, second = model.sample("image", [1, 2], FEW, images=[SKETCH], region=mask)
    for made in (first, second):
        changed = np.abs(pixels(made) - before).max(axis=2)
        assert changed[outside].max() == 0
        assert changed[~outside].max() > 1
    assert np.abs(pixels(first) - pixels(second)).max() > 1


def test_a_seed_draws_the_same_region_alone_and_as_second_of_two(base):
    model = CustomisedModel(base)
    batch = model.sample("image", [1, 2], FEW, images=[SKETCH], region=disc())
    (alone,) = model.sample("image", [2], FEW, images=[SKETCH], region=disc())
    assert np.abs(pixels(batch[1]) - pixels(alone)).max() <= 1


def test_a_region_that_is_everything_is_the_picture_drawn_without_one(base):
    model = CustomisedModel(base)
    whole = Image.new("L", (40, 40), 255)
    (with_region,) = model.sample("image", [3], FEW, images=[SKETCH], region=whole)
    (without,) = model.sample("image", [3], FEW, images=[SKETCH])
    assert np.array_equal(pixels(with_region), pixels(without))


def test_no_step_at_all_still_leaves_the_outside_alone(base):
    (made,) = CustomisedModel(base).sample(
        "image", [1], SamplingConfig(t0=0), images=[SKETCH], region=disc()
    )
    before = pixels(fit(SKETCH, base.resolution))
    corner = np.abs(pixels(made) - before)[: base.resolution // 6, : base.resolution // 6]
    assert corner.max() == 0


def test_the_edge_is_soft_on_the_inside_only():
    region = region_of(disc(512), 512)
    black, white = (Image.new("RGB", (512, 512), colour) for colour in ("black", "white"))
    mixed = pixels(region.put_back(black, white))[..., 0]
    assert mixed[~region.inside].max() == 0
    assert mixed[region.inside].min() > 0
    assert mixed[281, 230] == 255
    assert len(np.unique(mixed)) > 5


def test_a_region_at_the_border_of_the_picture_is_not_soft_there():
    half = Image.new("L", (64, 64), 0)
    half.paste(255, (0, 0, 32, 64))
    region = region_of(half, 64)
    black, white = (Image.new("RGB", (64, 64), colour) for colour in ("black", "white"))
    mixed = pixels(region.put_back(black, white))[..., 0]
    assert (mixed[:, 0] == 255).all()
    assert (mixed[:, 32:] == 0).all()


def test_a_cell_belongs_to_the_region_when_any_of_its_pixels_does():
    dot = Image.new("L", (32, 32), 0)
    dot.putpixel((9, 17), 255)
    cells = region_of(dot, 32).cells(8)
    assert cells.shape == (1, 1, 8, 8)
    assert torch.argwhere(cells).tolist() == [[0, 0, 4, 2]]


@pytest.mark.parametrize("mask", [Image.new("L", (64, 64), 0), Image.new("RGB", (64, 64))])
def test_an_empty_region_is_refused_in_one_sentence(mask):
    with pytest.raises(InvalidInputError, match="The region is empty"):
        region_of(mask, 32)


@pytest.mark.parametrize(
    ("start", "images"), [("prompt", None), ("image", [SKETCH, SKETCH]), ("image", None)]
)
def test_a_region_needs_the_one_picture_that_it_is_a_part_of(base, start, images):
    with pytest.raises(InvalidInputError, match="one picture"):
        CustomisedModel(base).sample(
            start, [1, 2], SamplingConfig(1, 2, 1, ""), images=images, region=disc()
        )
