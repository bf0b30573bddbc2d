"""Filters of the gallery, and the trained parts that it names."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from dyod_studio.errors import InvalidInputError
from dyod_studio.store.requests import GalleryQuery

MAX_TEXT = 200
"""Characters of a search."""


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


def _begin(day: date | None, days: int = 0) -> datetime | None:
    """The moment at which a day begins here."""
    if day is None:
        return None
    if day >= date.max - timedelta(days=2) or day.year < 1971:
        raise InvalidInputError(f"A day must lie between 1971 and 9999, got {day}.")
    return datetime.combine(day + timedelta(days=days), time.min).astimezone()
