"""Which two settings a grid runs over, and their values."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr

from dyod_studio.ui.studio.making import NO_AXIS
from dyod_studio.ui.wiring import SILENT

NAMES = {
    "t0": "How much may change (t0)",
    "mask-rate": "How freely the reference is read (mask rate)",
    "guidance": "Guidance",
    "seed": "Seed",
    "parts": "Trained parts",
}
FIRST_VALUES = {
    "t0": "0.3, 0.5, 0.7",
    "mask-rate": "0, 0.3, 0.6",
    "guidance": "1, 3, 6",
    "seed": "1, 2, 3",
    "parts": "inversion, none",
    NO_AXIS: "",
}
"""What stands in the field until something else is typed."""


class GridControls(NamedTuple):
    """Two axes; ``down`` may be none."""

    across: gr.Dropdown
    across_values: gr.Textbox
    down: gr.Dropdown
    down_values: gr.Textbox
    make: gr.Button

    @property
    def inputs(self) -> list[Any]:
        """What ``axes_in`` is given."""
        return list(self[:4])


def build_grid() -> GridControls:
    choices = [(title, name) for name, title in NAMES.items()]
    with gr.Accordion("Grid: two settings against each other", open=False):
        across, across_values = _build_axis("Across", choices, "t0", "across")
        down, down_values = _build_axis(
            "Down", [("Nothing: one row", NO_AXIS), *choices], "guidance", "down"
        )
        make = gr.Button("Make the grid", elem_id="grid-make")
    return GridControls(across, across_values, down, down_values, make)


def _build_axis(
    label: str, choices: Sequence[tuple[str, str]], value: str, elem_id: str
) -> tuple[gr.Dropdown, gr.Textbox]:
    axis = gr.Dropdown(
        list(choices), value=value, label=label, filterable=False, elem_id=f"grid-{elem_id}"
    )
    values = gr.Textbox(
        FIRST_VALUES[value], label=f"Values {label.lower()}", max_lines=1,
        elem_id=f"grid-{elem_id}-values", info="With commas between; join parts with +.",
    )  # fmt: skip
    axis.input(lambda name: FIRST_VALUES[name], axis, values, **SILENT)
    return axis, values
