"""Strips of frames that are drawn in the background, so that a slider never has to wait.

Of each visitor only the newest walk counts. It is drawn in small requests to the sampler, the
coarse frames first, and gives way whenever anybody waits for a picture.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from dyod_studio.errors import InvalidInputError, SampleCancelledError, StudioError
from dyod_studio.services.explore.frames import Frames
from dyod_studio.services.explore.strips import Step, Walk, portion
from dyod_studio.services.explore.views import FrameView, WalkView
from dyod_studio.services.sampling.dispatcher import Desk, Errand, OnProgress
from dyod_studio.store.retry import patiently
from dyod_studio.store.storage import Storage

FIRST_PORTION, PORTION = 3, 4
"""Frames a request: few, so that whoever comes in between waits for little."""
WAIT_FOR_OTHERS_S = 120.0
POLL_S = 0.1

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Lane:
    """What is drawn for one visitor; ``is_open`` while frames may still come."""

    walk: Walk
    errand: Errand | None = None
    error: str | None = None
    is_open: bool = True
    is_overtaken: bool = False


class Walks:
    """Draws strips in one thread of its own, which begins with the first of them."""

    def __init__(self, storage: Storage, desk: Desk) -> None:
        self._desk, self._frames = desk, Frames(storage)
        self._wake = threading.Condition()
        self._lanes: OrderedDict[str, Lane] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def begin(self, visitor: str, walk: Walk) -> None:
        """Draw what lacks of the walk; whatever else the visitor had asked for is left."""
        with self._wake:
            lane = self._lanes.get(visitor)
            if lane is not None and lane.walk == walk and lane.is_open:
                return
            errand = self._leave(visitor)
            self._lanes[visitor] = Lane(walk)
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._serve, name="walks", daemon=True)
                self._thread.start()
            self._wake.notify_all()
        self._stop(errand)

    def stop(self, visitor: str) -> None:
        """Draw nothing more for the visitor; what is drawn stays."""
        with self._wake:
            errand = self._leave(visitor)
        self._stop(errand)

    def look(self, visitor: str, walk: Walk) -> WalkView:
        """What is there of a walk, whoever drew it."""
        found = self._frames.files(walk.asked.project_id, [step.key for step in walk.steps])
        strips = tuple(
            tuple(FrameView(at, key, found.get(key)) for at, key in strip) for strip in walk.strips
        )
        with self._wake:
            lane = self._lanes.get(visitor)
            error = lane.error if lane is not None and lane.walk == walk else None
        return WalkView(strips, len(found), len(walk.steps), error)

    def draw(self, walk: Walk, on_progress: OnProgress | None = None) -> WalkView:
        """Draw what lacks of a walk now, and wait for it; for a command, or a single frame."""
        while missing := self._frames.missing(walk):
            with self._desk.errand(None) as errand:
                self._carry_out(walk, missing, errand, on_progress)
        return self.look("", walk)

    def finished(self, visitor: str, walk: Walk) -> WalkView:
        """The walk with all of its frames.

        Raises:
            InvalidInputError: some are still being drawn.
        """
        view = self.look(visitor, walk)
        if not view.is_complete:
            raise InvalidInputError(
                f"Wait until the strip is whole: {view.done} of {view.total} frames are there."
            )
        return view

    def close(self) -> None:
        """End the thread; what it has in hand is left."""
        with self._wake:
            self._is_closed = True
            errands = [self._leave(visitor) for visitor in list(self._lanes)]
            self._wake.notify_all()
            thread = self._thread
        for errand in errands:
            self._stop(errand)
        if thread is not None:
            thread.join()

    def _leave(self, visitor: str) -> Errand | None:
        lane = self._lanes.pop(visitor, None)
        if lane is None:
            return None
        lane.is_overtaken, lane.is_open = True, False
        return lane.errand

    def _stop(self, errand: Errand | None) -> None:
        if errand is not None:
            self._desk.stop(errand)

    def _serve(self) -> None:
        while (lane := self._next()) is not None:
            self._advance(lane)

    def _next(self) -> Lane | None:
        """The lane whose turn it is, when there is one; None at the end."""
        with self._wake:
            while not self._is_closed:
                for visitor, lane in self._lanes.items():
                    if lane.is_open:
                        self._lanes.move_to_end(visitor)
                        return lane
                self._wake.wait()
        return None

    def _advance(self, lane: Lane) -> None:
        """Draw the next frames of a lane; why it failed is told to whoever looks."""
        try:
            missing = self._frames.missing(lane.walk)
            if not missing:
                lane.is_open = False
                return
            is_first = len(missing) == len(lane.walk.steps)
            self._try(lane, missing[: FIRST_PORTION if is_first else PORTION])
        except StudioError as exc:
            lane.error, lane.is_open = str(exc), False
        except Exception as exc:  # its thread serves every visitor: a bug may not end it
            logger.exception("A strip could not be drawn.")
            lane.error, lane.is_open = f"{type(exc).__name__}: {exc}", False

    def _try(self, lane: Lane, steps: Sequence[Step]) -> None:
        with self._desk.errand(None) as errand:
            with self._wake:
                if lane.is_overtaken:
                    return
                lane.errand = errand
            try:
                self._carry_out(lane.walk, steps, errand, lambda _: self._give_way(errand))
            except SampleCancelledError:
                if not lane.is_overtaken and errand.request_id is not None:
                    self._wait(partial(self._frames.others_wait, errand.request_id))

    def _carry_out(
        self, walk: Walk, steps: Sequence[Step], errand: Errand, on_progress: OnProgress | None
    ) -> None:
        try:
            self._desk.ask(portion(walk, steps), errand, on_progress)
        except SampleCancelledError:
            if errand.request_id is not None:
                patiently(partial(self._frames.forget, errand.request_id))
            raise
        if errand.request_id is not None:
            patiently(partial(self._frames.take, errand.request_id, steps))

    def _give_way(self, errand: Errand) -> None:
        """Leave the request in hand when somebody waits for a picture behind it."""
        if errand.request_id is not None and self._frames.others_wait(errand.request_id):
            self._desk.stop(errand)

    def _wait(self, condition: Callable[[], bool]) -> None:
        """Until the condition is false, or for long enough."""
        deadline = time.monotonic() + WAIT_FOR_OTHERS_S
        while condition() and time.monotonic() < deadline and not self._is_closed:
            time.sleep(POLL_S)
