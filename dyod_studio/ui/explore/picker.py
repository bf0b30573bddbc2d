"""Picking two ends by clicking on pictures: of the set, or of what was made here."""

import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.ui.common.controls import PAGE_SIZE, Pager, build_pager, pager_updates, turned
from dyod_studio.ui.common.handlers import SILENT, chosen, shown_to_user
from dyod_studio.ui.explore.strips import file_url

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

SOURCES = [("Your set", "set"), ("Made here", "made")]
NO_ENDS: dict[str, Any] = {"A": None, "B": None}
EMPTY = {
    "set": "There is no picture in the set yet: add some on Pictures, or take two at random.",
    "made": "Nothing was made here yet: take two at random, they are drawn from what it learned.",
}
MAX_SEED_DRAWN = 10_000
"""Seeds that are drawn are short: a person may want to note one."""

Ends = Mapping[str, Any]
"""``A`` and ``B``: None, or ``ref`` (what the studio is told) and ``picture`` (its file)."""


class Picks(NamedTuple):
    """The components; ``ends`` changes whenever a picture is picked."""

    ends: gr.State
    turn: gr.Radio
    source: gr.Radio
    thumbs: gr.Gallery
    refs: gr.State
    empty: gr.HTML
    pager: Pager
    shown: tuple[gr.HTML, gr.HTML]


def build_picks(studio: "Studio", project: gr.State) -> Picks:
    """Lay out the two ends and the pictures to pick from, and wire the clicks."""
    ends, refs = gr.State(NO_ENDS), gr.State(())
    with gr.Row(elem_classes="ends"):
        shown = (
            gr.HTML(end_html("A", None), elem_id="end-a", padding=False),
            gr.HTML(end_html("B", None), elem_id="end-b", padding=False),
        )
    with gr.Row(elem_classes="headed"):
        turn = gr.Radio(
            ["A", "B"], value="A", label="A click fills", elem_id="pick-turn", min_width=110,
        )  # fmt: skip
        source = gr.Radio(SOURCES, value="set", label="Pick from", elem_id="pick-source")
    with gr.Row():
        swap = gr.Button("Swap A and B", size="sm", elem_id="pick-swap")
        random = gr.Button("Two at random", size="sm", elem_id="pick-random")
    empty = gr.HTML(elem_id="pick-empty", padding=False)
    thumbs = gr.Gallery(
        label="Pictures to pick from", show_label=False, columns=6, height=236,
        object_fit="contain", allow_preview=False, buttons=[], interactive=False,
        elem_id="pick-thumbs", elem_classes="thumbs", visible=False,
    )  # fmt: skip
    pager = build_pager("Back", "More", "pick-pager")
    picks = Picks(ends, turn, source, thumbs, refs, empty, pager, shown)
    _wire(studio, project, picks, swap, random)
    return picks


def _wire(
    studio: "Studio", project: gr.State, picks: Picks, swap: gr.Button, random: gr.Button
) -> None:
    page = [picks.empty, picks.thumbs, picks.refs, *picks.pager]
    source, ends = picks.source, picks.ends
    source.input(partial(show_source, studio), [project, source], page, **SILENT)
    for button, pages in ((picks.pager.before, -1), (picks.pager.after, 1)):
        button.click(
            partial(on_turn, studio, pages), [project, source, picks.pager.offset], page, **SILENT
        )

    def on_select(
        ends: Ends, turn: str, refs: Sequence[tuple[str, str]], event: gr.SelectData
    ) -> tuple[Any, ...]:
        ref, picture = refs[event.index]
        return picked(ends, turn, ref, picture)

    outputs = [ends, picks.turn, *picks.shown]
    picks.thumbs.select(on_select, [ends, picks.turn, picks.refs], outputs, **SILENT)
    swap.click(on_swap, ends, outputs, **SILENT)
    random.click(on_random, None, outputs, **SILENT)
    project.change(lambda: ends_updates(NO_ENDS, "A"), None, outputs, **SILENT)


def show_source(
    studio: "Studio", project: int | None, source: str, offset: int = 0
) -> tuple[Any, ...]:
    """A page of pictures to pick from."""
    total, found = 0, []
    if project is not None and source == "set":
        total = studio.projects.get(project).num_pictures
        views = studio.projects.pictures(project, offset=offset, limit=PAGE_SIZE)
        found = [(f"set:{view.id}", str(view.thumbnail)) for view in views]
    elif project is not None:
        total = studio.gallery.count(project)
        made = studio.gallery.page(project, offset=offset, limit=PAGE_SIZE)
        found = [(f"made:{view.id}", str(view.thumbnail)) for view in made]
    return (
        "" if found else f'<p class="quiet">{EMPTY[source]}</p>',
        gr.update(value=[path for _, path in found], visible=bool(found), selected_index=None),
        tuple(found),
        *pager_updates(offset, total),
    )


@shown_to_user
def on_turn(
    studio: "Studio", pages: int, project: int | None, source: str, offset: int
) -> tuple[Any, ...]:
    number = chosen(project)
    total = studio.gallery.count(number)
    if source == "set":
        total = studio.projects.get(number).num_pictures
    return show_source(studio, project, source, turned(offset, pages, total))


def picked(ends: Ends, turn: str, ref: str, picture: str | None) -> tuple[Any, ...]:
    """Put a picture at one end; the next click fills the other."""
    now = {**ends, turn: {"ref": ref, "picture": picture}}
    return ends_updates(now, "B" if turn == "A" else "A")


def on_swap(ends: Ends) -> tuple[Any, ...]:
    if ends["A"] is None and ends["B"] is None:
        return ends_updates(NO_ENDS, "A")
    return ends_updates({"A": ends["B"], "B": ends["A"]}, "A")


def on_random() -> tuple[Any, ...]:
    """Two places drawn from what the shape model has learned."""
    a, b = (secrets.randbelow(MAX_SEED_DRAWN) for _ in range(2))
    seeds = {name: {"ref": f"seed:{seed}", "picture": None} for name, seed in (("A", a), ("B", b))}
    return ends_updates(seeds, "A")


def ends_updates(ends: Ends, turn: str) -> tuple[Any, ...]:
    """The ends, whose turn it is, and both as they are shown."""
    return ends, turn, *(end_html(name, ends[name]) for name in ("A", "B"))


def end_html(name: str, end: Mapping[str, Any] | None) -> str:
    """One end: its picture, its seed, or a place for it."""
    if end is None:
        inside = "<p>click a picture</p>"
    elif end["picture"] is None:
        inside = f"<p>{escape(end['ref'].replace(':', ' '))}</p>"
    else:
        inside = f'<img src="{file_url(Path(end["picture"]))}" alt="Picture {name}">'
    return f'<div class="end"><b>{name}</b>{inside}</div>'
