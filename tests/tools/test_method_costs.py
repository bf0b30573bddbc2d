"""The table of costs: every row is planned at full size, and steps for real on a tiny base."""

import pytest

from dyod_studio.requests.part_kinds import training_methods
from tests.conftest import open_base
from tools import method_costs
from tools.method_costs import ROWS, TASKS, Order, measure, row_of


def order_of(row):
    return Order(row, device="cpu", limit_mb=11_000, steps=2, is_pascal=True)


def test_every_method_has_a_row_and_a_task():
    assert {method for method, _ in ROWS.values()} == set(training_methods()) == set(TASKS)


def test_what_one_would_use_is_planned_to_fit_a_card_of_11_gb_and_baselines_not():
    fitting = {row for row in ROWS if "MB, fits" in row_of(order_of(row), is_measured=False)}
    too_large = {
        "control, a control net", "dreambooth, all layers", "full-finetune", "scratch",
    }  # fmt: skip
    assert fitting == set(ROWS) - too_large


@pytest.mark.parametrize("row", list(ROWS))
def test_every_row_makes_real_steps(base_folders, monkeypatch, row):
    base = open_base(base_folders["sd15"])
    monkeypatch.setattr(method_costs, "build_base", lambda policy, device: base)
    found = measure(order_of(row))
    assert found["num_trained"] > 0
    assert found["step_s"] > 0
    assert found["peak_mb"] > 100
    assert 0 < found["loss"] < 1000


def test_the_base_is_as_large_as_the_plan_takes_it_for():
    shape = method_costs.STABLE_DIFFUSION
    assert shape.num_unet_parameters == pytest.approx(859_520_964, rel=1e-3)
