"""One quick picture that follows the hand: of a visitor's strokes only the newest counts.

An older request is cancelled between two steps of the sampler and never shown; what has not begun
is never begun. Of the pictures only the last one stays.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from dyod_studio.errors import SampleCancelledError
from dyod_studio.studio.sampling.asking import Desk, Errand
from dyod_studio.studio.views import GenerationView

Draw = Callable[[Errand], list[GenerationView]]
"""Makes one request and returns its picture."""


@dataclass(eq=False, slots=True)
class Track:
    """What is known of one visitor.

    ``newest`` counts what was asked for; ``errand`` is in hand now; ``last`` is the request whose
    picture is shown; ``turn`` is held while a picture is made.
    """

    newest: int = 0
    errand: Errand | None = None
    last: int | None = None
    turn: threading.Lock = field(default_factory=threading.Lock)


class Live:
    """Draws the newest of what each visitor asks for."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._tracks: dict[str, Track] = {}

    def draw(self, visitor: str, draw: Draw) -> GenerationView | None:
        """The picture; None when a newer stroke has overtaken it, or it was cancelled."""
        track, ticket = self._overtake(visitor)
        with track.turn, self._desk.errand(visitor) as errand:
            with self._lock:
                if ticket != track.newest:
                    return None
                track.errand = errand
            try:
                view = draw(errand)[0]
            except SampleCancelledError:
                self._forget(errand.request_id)
                return None
            if ticket != track.newest or errand.is_cancelled:
                self._forget(errand.request_id)
                return None
            self._forget(track.last)
            track.last = errand.request_id
            return view

    def stop(self, visitor: str) -> None:
        """Nothing more is wanted; the last picture stays."""
        self._overtake(visitor)

    def keep(self, visitor: str) -> None:
        """Leave the picture that is shown where it is when the next one comes."""
        with self._lock:
            if visitor in self._tracks:
                self._tracks[visitor].last = None

    def _overtake(self, visitor: str) -> tuple[Track, int]:
        with self._lock:
            track = self._tracks.setdefault(visitor, Track())
            track.newest += 1
            ticket, errand = track.newest, track.errand
        if errand is not None:
            self._desk.stop(errand)
        return track, ticket

    def _forget(self, request_id: int | None) -> None:
        if request_id is not None:
            self._desk.forget(request_id)
