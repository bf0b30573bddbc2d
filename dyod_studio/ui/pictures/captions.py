"""The captions of a set in one table: each can be typed over, all can be changed at once."""

from collections.abc import Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.services.captions import CaptionsView, Edit
from dyod_studio.ui.common.handlers import SILENT, chosen, shown_to_user
from dyod_studio.ui.common.html import counted

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

EDITS: list[tuple[str, Edit]] = [
    ("Put words before all", "before"),
    ("Put words after all", "after"),
    ("Replace a word", "replace"),
    ("Take a word out", "remove"),
    ("Back to the files' names", "clear"),
]
TAGS_SHOWN = 12


def build_captions(studio: "Studio", project: gr.State, name: str = "") -> None:
    """Lay out and wire it; the table is filled each time the panel is opened."""
    with gr.Accordion("Captions of all", open=False, elem_id=f"{name}captions") as panel:
        summary = gr.HTML(padding=False)
        with gr.Row():
            edit = gr.Dropdown(
                [(title, edit) for title, edit in EDITS], value="before", label="Change all",
                elem_id=f"{name}caption-edit", min_width=180,
            )  # fmt: skip
            words = gr.Textbox(label="Words", max_lines=1, elem_id=f"{name}caption-words")
            by = gr.Textbox(
                label="Replaced by", max_lines=1, visible=False, elem_id=f"{name}caption-by"
            )
            change = gr.Button("Change all", min_width=120, elem_id=f"{name}change-captions")
        table = gr.Dataframe(
            headers=["No.", "Picture", "Caption"], datatype=["number", "str", "str"], type="array",
            static_columns=[0, 1], column_count=3, column_widths=["10%", "35%", "55%"],
            wrap=True, show_search="search", buttons=[], interactive=True, max_height=420,
            show_label=False, elem_id=f"{name}caption-table",
        )  # fmt: skip
    shown = [summary, table]
    panel.expand(partial(show_captions, studio), project, shown, **SILENT)
    project.change(lambda: gr.update(open=False), None, panel, **SILENT)
    edit.change(needed_fields, edit, [words, by], **SILENT)
    change.click(partial(on_edit, studio), [project, edit, words, by], shown, **SILENT)
    table.input(partial(on_table, studio), [project, table], summary, **SILENT)


def needed_fields(edit: str) -> tuple[Any, Any]:
    """Only the fields that the edit reads."""
    return gr.update(visible=edit != "clear"), gr.update(visible=edit == "replace")


def show_captions(studio: "Studio", project: int | None) -> tuple[str, list[list[int | str]]]:
    if project is None:
        return "", []
    view = studio.captions.all(project)
    rows: list[list[int | str]] = [
        [line.picture_id, line.name, line.caption] for line in view.lines
    ]
    return summary_html(view), rows


@shown_to_user
def on_edit(
    studio: "Studio", project: int | None, edit: Edit, words: str | None, by: str | None
) -> tuple[str, list[list[int | str]]]:
    """Change all captions at once."""
    studio.captions.edit(chosen(project), edit, words or "", by or "")
    return show_captions(studio, project)


@shown_to_user
def on_table(studio: "Studio", project: int | None, rows: Sequence[Sequence[Any]]) -> str:
    """Keep what was typed over; rows that name no picture of the set are left aside."""
    number = chosen(project)
    known = {line.picture_id: line.caption for line in studio.captions.all(number).lines}
    typed = {int(row[0]): str(row[2] or "") for row in rows if str(row[0]).isdecimal()}
    studio.captions.write(
        number, {key: text for key, text in typed.items() if known.get(key, text) != text}
    )
    return summary_html(studio.captions.all(number))


def summary_html(view: CaptionsView) -> str:
    """How many pictures say something, and what several of them say."""
    number = sum(bool(line.caption) for line in view.lines)
    own = sum(line.is_own for line in view.lines)
    shared = [f"{escape(tag)} ({n:,})" for tag, n in view.tags.items() if n > 1][:TAGS_SHOWN]
    most = f" Several say: {', '.join(shared)}." if shared else ""
    return (
        f'<p class="quiet">{number:,} of {counted(len(view.lines), "picture")} say what they show, '
        f"{own:,} of them in words of yours, the others by their files' names.{most}</p>"
    )
