"""The loss as a drawing."""

import math
import re

import pytest

from dyod_studio.services.training.report import (
    HEIGHT,
    MAX_POINTS,
    WIDTH,
    curve_svg,
    smoothed,
    thinned,
    ticks,
)


def drawn(svg: str) -> list[tuple[float, float]]:
    text, course = re.findall(r'<polyline class="\w+" points="([^"]+)"', svg)
    assert len(course.split()) == len(text.split())
    return [tuple(map(float, pair.split(","))) for pair in text.split()]


def test_a_long_curve_is_thinned_without_losing_its_end_or_its_mean():
    curve = thinned([(step, float(step)) for step in range(1, 5001)])
    assert len(curve) == MAX_POINTS
    assert curve[-1][0] == 5000
    assert sum(loss for _, loss in curve) / len(curve) == pytest.approx(2500.5)


def test_a_falling_loss_falls_and_ends_where_the_run_stands():
    points = drawn(curve_svg([(step, 1 / step) for step in range(1, 101)], 200))
    heights = [y for _, y in points]
    assert heights == sorted(heights)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert points[-1][0] == pytest.approx(WIDTH / 2, abs=30)


def test_the_course_follows_the_mean_of_a_noisy_loss():
    noisy = [(step, 1.0 + (-1) ** step * 0.5) for step in range(400)]
    inside = [loss for _, loss in smoothed(noisy)[20:-20]]
    assert max(abs(loss - 1.0) for loss in inside) < 0.05
    falling = [(step, -float(step)) for step in range(400)]
    course = [loss for _, loss in smoothed(falling)[20:-20]]
    assert course == pytest.approx([loss for _, loss in falling[20:-20]])
    assert smoothed([(1, 0.7)]) == [(1, 0.7)]


@pytest.mark.parametrize("losses", [[], [(1, 0.5)], [(1, math.nan), (2, 0.5)]])
def test_fewer_than_two_points_draw_nothing(losses):
    assert curve_svg(losses, 100) == ""


def test_a_loss_that_is_no_number_is_left_out_and_a_level_one_is_drawn():
    points = drawn(curve_svg([(1, 0.5), (2, math.inf), (3, 0.5)], 3))
    assert len(points) == 2
    assert points[0][1] == points[1][1]


@pytest.mark.parametrize(
    ("low", "high", "numbers"),
    [(0, 400, [0, 100, 200, 300, 400]), (0.13, 0.31, [0.15, 0.2, 0.25, 0.3]), (2, 2, [2])],
)
def test_ticks_are_round_numbers_inside_the_range(low, high, numbers):
    assert ticks(low, high) == pytest.approx(numbers)
