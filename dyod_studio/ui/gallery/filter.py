"""Filter of the gallery: by words, favourites, bin, kind, day, trained part."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.errors import InvalidInputError
from dyod_studio.services.gallery.views import GalleryFilter, PartView
from dyod_studio.ui.common.handlers import any_text
from dyod_studio.ui.common.html import KIND_NAMES
from dyod_studio.ui.common.run_html import method_name

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

ANY = "any"
NO_FILTER = ("", "all", ANY, ANY, None, None, ANY)
"""Values of the controls when nothing is filtered, in the order of ``Filters``."""
SHOWS = [("All", "all"), ("Favourites", "favorites"), ("Bin", "bin")]
WHENS = [
    ("Any day", ANY),
    ("Today", "1"),
    ("Last 7 days", "7"),
    ("Last 30 days", "30"),
    ("From … to …", "between"),
]


class Filters(NamedTuple):
    """The controls, in the order in which ``filter_of`` takes their values."""

    text: gr.Textbox
    show: gr.Radio
    kind: gr.Dropdown
    when: gr.Dropdown
    since: gr.DateTime
    until: gr.DateTime
    part: gr.Dropdown

    @property
    def choices(self) -> list[Any]:
        """The lists that ``choices_of`` fills."""
        return [self.kind, self.part]


def build_filters() -> tuple[Filters, gr.Row]:
    """Lay the controls out; also returns the row of the two days, shown on demand."""
    with gr.Row(elem_id="gallery-filters"):
        text = gr.Textbox(
            label="Search", max_lines=1, placeholder="Words, a seed, a number",
            elem_id="gallery-text", min_width=180, scale=2,
        )  # fmt: skip
        show = gr.Radio(SHOWS, value="all", label="Show", elem_id="gallery-show", min_width=300)
        kind = gr.Dropdown(
            [("Everything", ANY)], value=ANY, label="Made how", elem_id="gallery-kind",
            filterable=False, min_width=170,
        )  # fmt: skip
        when = gr.Dropdown(
            WHENS, value=ANY, label="When", elem_id="gallery-when", filterable=False,
            min_width=150,
        )  # fmt: skip
        part = gr.Dropdown(
            [("Anything", ANY)], value=ANY, label="Drawn with", elem_id="gallery-part",
            filterable=False, min_width=170,
        )  # fmt: skip
    with gr.Row(visible=False, elem_id="gallery-days") as days:
        since = _day("From", "gallery-since")
        until = _day("To, that day included", "gallery-until")
    return Filters(text, show, kind, when, since, until, part), days


def _day(label: str, elem_id: str) -> gr.DateTime:
    return gr.DateTime(
        include_time=False, type="string", label=label, info="YYYY-MM-DD", elem_id=elem_id,
        min_width=160,
    )  # fmt: skip


def filter_of(
    text: str | None, show: str | None, kind: str | None, when: str | None,
    since: str | None, until: str | None, part: str | None,
) -> GalleryFilter:  # fmt: skip
    """The controls' values as a filter.

    Raises:
        InvalidInputError: a day is no day, or the days are in the wrong order.
    """
    first, last = None, None
    if when == "between":
        first, last = _day_in("From", since), _day_in("To", until)
    elif when and when.isdecimal():
        first = date.today() - timedelta(days=int(when) - 1)
    return GalleryFilter(
        text=any_text(text) or "",
        kinds=() if kind in (None, ANY) else (str(kind),),
        since=first,
        until=last,
        part=None if part in (None, ANY) else part,
        only_favorites=show == "favorites",
        is_deleted=show == "bin",
    )


def _day_in(name: str, text: str | None) -> date | None:
    day = (any_text(text) or "").split(" ")[0]
    if not day:
        return None
    try:
        return datetime.strptime(day, "%Y-%m-%d").date()
    except ValueError as exc:
        raise InvalidInputError(
            f"{name} needs a day such as 2026-03-01, got {day[:40]!r}."
        ) from exc


def choices_of(studio: "Studio", project: int | None, asked: GalleryFilter) -> tuple[Any, Any]:
    """The kinds and the trained parts that there are pictures of; the choice is kept."""
    kinds = [] if project is None else studio.gallery.kinds(project)
    parts = [] if project is None else studio.gallery.parts(project)
    kind = asked.kinds[0] if asked.kinds and asked.kinds[0] in kinds else ANY
    known = {part.sha256 for part in parts}
    return (
        gr.update(choices=[("Everything", ANY), *map(_kind_choice, kinds)], value=kind),
        gr.update(
            choices=[("Anything", ANY), *_part_choices(parts)],
            value=asked.part if asked.part in known else ANY,
        ),
    )


def _kind_choice(kind: str) -> tuple[str, str]:
    name = KIND_NAMES.get(kind, kind)
    return name[:1].upper() + name[1:], kind


def _part_choices(parts: Sequence[PartView]) -> list[tuple[str, str]]:
    """Each part by its method and the day it was trained; the newest of a kind needs no day."""
    seen: set[str] = set()
    choices = []
    for part in parts:
        name = method_name(part.kind)
        if part.trained_at is None:
            name += f", no longer here ({part.sha256[:6]})"
        elif part.kind in seen:
            name += f", of {part.trained_at.astimezone():%d %b %H:%M}"
        seen.add(part.kind)
        choices.append((name, part.sha256))
    return choices
