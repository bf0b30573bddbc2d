"""Pages of thumbnails: the ones before, the ones after, and where one is."""

from typing import Any, NamedTuple

import gradio as gr

PAGE_SIZE = 60


class Pager(NamedTuple):
    """The components; ``offset`` holds the index of the page's first picture."""

    row: gr.Row
    offset: gr.State
    before: gr.Button
    where: gr.HTML
    after: gr.Button


def build_pager(before: str, after: str, elem_id: str) -> Pager:
    with gr.Row(elem_classes="pager", visible=False) as row:
        offset = gr.State(0)
        left = gr.Button(before, size="sm", min_width=90, scale=0, elem_id=f"{elem_id}-before")
        where = gr.HTML(elem_classes="where", padding=False)
        right = gr.Button(after, size="sm", min_width=90, scale=0, elem_id=f"{elem_id}-after")
    return Pager(row, offset, left, where, right)


def turned(offset: int, pages: int, total: int) -> int:
    """The offset ``pages`` further on, kept within the pictures there are."""
    last = max(0, (total - 1) // PAGE_SIZE) * PAGE_SIZE
    return min(max(0, offset + pages * PAGE_SIZE), last)


def pager_updates(offset: int, total: int) -> tuple[Any, int, Any, str, Any]:
    """New values of a Pager's components."""
    last = min(offset + PAGE_SIZE, total)
    return (
        gr.update(visible=total > PAGE_SIZE),
        offset,
        gr.update(interactive=offset > 0),
        f"{offset + 1:,} to {last:,} of {total:,}",
        gr.update(interactive=last < total),
    )
