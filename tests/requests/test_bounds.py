"""A bound stands once: on the request's field, and everything else reads it there."""

from collections.abc import Iterator

import gradio as gr
import pytest
from annotated_types import Ge, Le

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.sampling import (
    KINDS,
    PointRequest,
    SampleRequest,
    SamplingRequest,
    read_request,
)
from dyod_studio.requests.titles import field_title
from dyod_studio.requests.validation import bounds_of
from dyod_studio.services.evaluation.summary import SUBJECTS
from dyod_studio.services.evaluation.views import SWEEPS
from dyod_studio.ui.common.controls import field_slider
from dyod_studio.ui.draw.actions import NAMES as GRID_NAMES


@pytest.fixture
def at_most_five_images(monkeypatch) -> Iterator[None]:
    """One bound changed, in its one place."""
    field = SampleRequest.model_fields["num_images"]
    monkeypatch.setattr(field, "metadata", [Ge(1), Le(5)])
    SampleRequest.model_rebuild(force=True)
    yield
    monkeypatch.undo()
    SampleRequest.model_rebuild(force=True)


def slider() -> gr.Slider:
    return field_slider(SampleRequest, "num_images", most=8, step=1)


def test_before_the_change_the_page_ends_where_it_wants_to():
    assert (slider().minimum, slider().maximum) == (1, 8)
    assert SampleRequest(kind="prompt", num_images=6).num_images == 6


def test_the_pages_slider_ends_at_the_changed_bound(at_most_five_images):
    assert (slider().minimum, slider().maximum) == (1, 5)


def test_the_json_schema_says_the_changed_bound(at_most_five_images):
    schema = SampleRequest.model_json_schema()["properties"]["num_images"]
    assert (schema["minimum"], schema["maximum"]) == (1, 5)


def test_the_command_line_refuses_by_the_changed_bound(at_most_five_images, tmp_path, capsys):
    from dyod_studio.cli.main import main

    command = ["--storage", str(tmp_path), "sample", "nobody", "--from", "prompt", "--num", "6"]
    assert main(command) == 2
    assert "num_images must lie in [1, 5], got 6." in capsys.readouterr().err


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_a_row_stores_is_read_back_as_the_same_request(kind):
    needed = {
        "interpolation": {"a": "seed:1", "b": "seed:2"},
        "traversal": {"coordinate": 1},
        "place": {"places": [{1: 2.0}]},
    }
    model = KINDS[kind]
    request = model(kind=kind, seed=3, t0=0.5, base="starter", **needed.get(kind, {}))
    assert read_request(kind, request.to_json()) == request


def test_a_request_is_frozen_and_a_changed_one_is_checked_again():
    request = SampleRequest(kind="prompt", num_images=2)
    with pytest.raises(ValueError, match="frozen"):
        request.num_images = 3
    with pytest.raises(InvalidInputError, match=r"t0 must lie in \[0, 1\], got 2"):
        request.replace(t0=2)


def test_a_bound_that_is_not_allowed_itself_is_written_with_a_round_bracket():
    assert str(bounds_of(SampleRequest, "mask_rate")) == "lie in [0, 1)"
    assert str(bounds_of(PointRequest, "spread")) == "lie in [0, 1]"


def test_a_field_has_one_title_on_the_slider_in_the_grid_in_the_sweep_and_in_the_sentence():
    assert field_title("t0") == "How much may change (t0)"
    assert GRID_NAMES["t0"] == SWEEPS["t0"][0] == field_title("t0")
    assert GRID_NAMES["mask-rate"] == SWEEPS["mask-rate"][0] == field_title("mask_rate")
    assert field_title("guidance_scale") in SUBJECTS["guidance"]
    assert SamplingRequest.model_fields["t0"].title in field_title("t0")
