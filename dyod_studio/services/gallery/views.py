"""What the gallery is asked and what it shows: filters, and all that makes a picture again."""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Literal

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.sampling import AnyRequest
from dyod_studio.store.generations import GalleryQuery

MAX_TEXT = 200
"""Characters of a search."""

Screen = Literal["studio", "explore"]
Source = Literal["dyod", "invokeai", "a1111"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryFilter:
    """Which pictures are asked for; what is left out lets every picture pass.

    ``part`` is the SHA-256 of a trained part; ``since`` and ``until`` are days, both included;
    ``text`` stands in the words a picture was made with, or is its seed or number.
    """

    kinds: tuple[str, ...] = ()
    part: str | None = None
    since: date | None = None
    until: date | None = None
    only_favorites: bool = False
    text: str = ""
    is_deleted: bool = False

    def __post_init__(self) -> None:
        if self.since and self.until and self.since > self.until:
            raise InvalidInputError(
                f"The first day must not lie after the last: got {self.since} and {self.until}."
            )
        if len(self.text) > MAX_TEXT:
            raise InvalidInputError(
                f"A search has at most {MAX_TEXT} characters, got {len(self.text)}."
            )

    @property
    def is_everything(self) -> bool:
        return self == GalleryFilter()

    def query(self) -> GalleryQuery:
        """The same for the store: days as moments of this machine's clock."""
        return GalleryQuery(
            kinds=self.kinds,
            part=self.part,
            since=_begin(self.since),
            until=_begin(self.until, days=1),
            only_favorites=self.only_favorites,
            text=self.text,
            is_deleted=self.is_deleted,
        )


EVERYTHING = GalleryFilter()


@dataclass(frozen=True, slots=True)
class PartView:
    """A trained part that pictures were drawn with; ``trained_at`` is None when it is gone."""

    kind: str
    sha256: str
    trained_at: datetime | None


@dataclass(frozen=True, slots=True, eq=False)
class Provenance:
    """How a picture was made: its request, and what of it this storage has.

    Each is like no other: pressing Again twice fills the screen twice.

    ``request`` is the one that the page fills and the sampler reads; its ``seed`` is that of the
    first picture of the request, ``picture_seed`` that of the picture itself. Of its input files
    those are there that this storage still has. ``screen`` is the one that makes it. ``notes``
    say, a sentence each, what cannot stand as it stood.
    """

    project_id: int
    request: AnyRequest
    screen: Screen
    picture_seed: int
    generation_id: int | None = None
    source: Source = "dyod"
    notes: tuple[str, ...] = field(default=())


def _begin(day: date | None, days: int = 0) -> datetime | None:
    """The moment at which a day begins here."""
    if day is None:
        return None
    if day >= date.max - timedelta(days=2) or day.year < 1971:
        raise InvalidInputError(f"A day must lie between 1971 and 9999, got {day}.")
    return datetime.combine(day + timedelta(days=days), time.min).astimezone()
