from collections import Counter

import pytest
import torch

from dyod_studio.diffusion.masking import mask_images, masked_rectangle
from dyod_studio.diffusion.sampling import generators_of
from dyod_studio.errors import InvalidInputError

RATES = [index / 10 for index in range(10)]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("height", "width"), [(10, 10), (40, 70), (130, 20)])
def test_the_rectangle_has_the_side_ratio_in_both_directions(height, width, rate):
    for seed in range(20):
        rows, columns = masked_rectangle(height, width, rate, seeded(seed))
        assert rows.stop - rows.start == round(rate * height)
        assert columns.stop - columns.start == round(rate * width)
        assert 0 <= rows.start <= rows.stop <= height
        assert 0 <= columns.start <= columns.stop <= width


@pytest.mark.parametrize("percent", range(100))
def test_a_rate_in_hundredths_of_a_hundred_pixels_is_that_many_pixels(percent):
    rows, _ = masked_rectangle(100, 3, percent / 100, seeded(0))
    assert rows.stop - rows.start == percent


def test_the_place_is_uniform_over_all_that_fits_for_seeds_in_a_row():
    corners = Counter()
    for seed in range(3000):
        rows, columns = masked_rectangle(4, 6, 0.5, seeded(seed))
        corners[rows.start, columns.start] += 1
    assert set(corners) == {(top, left) for top in range(3) for left in range(4)}
    chi_squared = sum((count - 250) ** 2 / 250 for count in corners.values())
    assert chi_squared < 31.3  # 11 degrees of freedom, one in a thousand


@pytest.mark.parametrize("shape", [(3, 16, 16), (3, 9, 31), (1, 40, 8)])
def test_what_lies_outside_the_rectangle_is_untouched_and_what_lies_inside_is_grey(shape):
    images = torch.rand(2, *shape, generator=seeded(1)) + 0.5
    masked = mask_images(images, 0.6, generators_of([3, 4]))
    for image, result, generator in zip(images, masked, generators_of([3, 4]), strict=True):
        rows, columns = masked_rectangle(*shape[1:], 0.6, generator)
        is_masked = torch.zeros(shape[1:], dtype=torch.bool)
        is_masked[rows, columns] = True
        assert is_masked.any()
        assert (result[:, is_masked] == 0).all()
        assert torch.equal(result[:, ~is_masked], image[:, ~is_masked])


def test_the_given_pictures_stay_as_they_are():
    images = torch.ones(1, 3, 8, 8)
    mask_images(images, 0.9, generators_of([0]))
    assert (images == 1).all()


def test_a_rate_of_zero_masks_nothing():
    images = torch.rand(3, 3, 7, 5, generator=seeded(2))
    assert torch.equal(mask_images(images, 0.0, generators_of([0, 1, 2])), images)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (2, 1)])
def test_a_tiny_picture_is_never_masked_as_a_whole(height, width):
    for seed in range(10):
        rows, columns = masked_rectangle(height, width, 0.9, seeded(seed))
        assert (rows.stop - rows.start) * (columns.stop - columns.start) < height * width


def test_the_same_seed_gives_the_same_mask_in_any_batch():
    images = torch.ones(3, 3, 16, 16)
    together = mask_images(images, 0.5, generators_of([1, 2, 3]))
    alone = mask_images(images[:1], 0.5, generators_of([2]))
    assert torch.equal(together[1], alone[0])
    assert not torch.equal(together[0], together[1])


@pytest.mark.parametrize("rate", [1, 1.5, -0.1, float("nan")])
def test_a_rate_out_of_range_is_one_sentence(rate):
    with pytest.raises(InvalidInputError, match=rf"mask_rate must lie in \[0, 1\), got {rate}"):
        mask_images(torch.zeros(1, 3, 4, 4), rate, generators_of([0]))


def test_each_picture_needs_a_seed():
    with pytest.raises(InvalidInputError, match="2 pictures need 2 seeds for their masks, got 1"):
        mask_images(torch.zeros(2, 3, 4, 4), 0.5, generators_of([0]))
