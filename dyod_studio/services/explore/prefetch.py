"""Strips of frames that are drawn in the background, so that a slider never has to wait.

Of each visitor only the newest plan counts. It is drawn in small requests to the sampler, the
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
from dyod_studio.services.explore.strips import Step, StripPlan, portion
from dyod_studio.services.explore.views import FrameView, StripsView
from dyod_studio.services.sampling.dispatcher import CancelScope, OnProgress, RequestDispatcher
from dyod_studio.store.database import retry_while_busy
from dyod_studio.store.storage import Storage

FIRST_PORTION, PORTION = 3, 4
"""Frames a request: few, so that whoever comes in between waits for little."""
WAIT_FOR_OTHERS_S = 120.0
POLL_S = 0.1

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class VisitorQueue:
    """Frames that are drawn for one visitor; ``is_open`` while frames may still come."""

    plan: StripPlan
    scope: CancelScope | None = None
    error: str | None = None
    is_open: bool = True
    is_overtaken: bool = False


class StripPrefetcher:
    """Draws strips in one thread of its own, which begins with the first of them."""

    def __init__(self, storage: Storage, dispatcher: RequestDispatcher) -> None:
        self._dispatcher, self._frames = dispatcher, Frames(storage)
        self._wake = threading.Condition()
        self._queues: OrderedDict[str, VisitorQueue] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def begin(self, visitor: str, plan: StripPlan) -> None:
        """Draw what lacks of the plan; whatever else the visitor had asked for is left."""
        with self._wake:
            queue = self._queues.get(visitor)
            if queue is not None and queue.plan == plan and queue.is_open:
                return
            scope = self._leave(visitor)
            self._queues[visitor] = VisitorQueue(plan)
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._serve, name="walks", daemon=True)
                self._thread.start()
            self._wake.notify_all()
        self._stop(scope)

    def stop(self, visitor: str) -> None:
        """Draw nothing more for the visitor; what is drawn stays."""
        with self._wake:
            scope = self._leave(visitor)
        self._stop(scope)

    def look(self, visitor: str, plan: StripPlan) -> StripsView:
        """Frames that are there of a plan, whoever drew them."""
        found = self._frames.files(plan.project_id, [step.key for step in plan.steps])
        strips = tuple(
            tuple(FrameView(at, key, found.get(key)) for at, key in strip) for strip in plan.strips
        )
        with self._wake:
            queue = self._queues.get(visitor)
            error = queue.error if queue is not None and queue.plan == plan else None
        return StripsView(strips, len(found), len(plan.steps), error)

    def draw(self, plan: StripPlan, on_progress: OnProgress | None = None) -> StripsView:
        """Draw what lacks of a plan now, and wait for it; for a command, or a single frame."""
        while missing := self._frames.missing(plan):
            with self._dispatcher.scope(None) as scope:
                self._carry_out(plan, missing, scope, on_progress)
        return self.look("", plan)

    def finished(self, visitor: str, plan: StripPlan) -> StripsView:
        """The plan with all of its frames.

        Raises:
            InvalidInputError: some are still being drawn.
        """
        view = self.look(visitor, plan)
        if not view.is_complete:
            raise InvalidInputError(
                f"Wait until the strip is whole: {view.done} of {view.total} frames are there."
            )
        return view

    def close(self) -> None:
        """End the thread; what it has in hand is left."""
        with self._wake:
            self._is_closed = True
            scopes = [self._leave(visitor) for visitor in list(self._queues)]
            self._wake.notify_all()
            thread = self._thread
        for scope in scopes:
            self._stop(scope)
        if thread is not None:
            thread.join()

    def _leave(self, visitor: str) -> CancelScope | None:
        queue = self._queues.pop(visitor, None)
        if queue is None:
            return None
        queue.is_overtaken, queue.is_open = True, False
        return queue.scope

    def _stop(self, scope: CancelScope | None) -> None:
        if scope is not None:
            self._dispatcher.stop(scope)

    def _serve(self) -> None:
        while (queue := self._next()) is not None:
            self._advance(queue)

    def _next(self) -> VisitorQueue | None:
        """The lane whose turn it is, when there is one; None at the end."""
        with self._wake:
            while not self._is_closed:
                for visitor, queue in self._queues.items():
                    if queue.is_open:
                        self._queues.move_to_end(visitor)
                        return queue
                self._wake.wait()
        return None

    def _advance(self, queue: VisitorQueue) -> None:
        """Draw the next frames of a lane; why it failed is told to whoever looks."""
        try:
            missing = self._frames.missing(queue.plan)
            if not missing:
                queue.is_open = False
                return
            is_first = len(missing) == len(queue.plan.steps)
            self._try(queue, missing[: FIRST_PORTION if is_first else PORTION])
        except StudioError as exc:
            queue.error, queue.is_open = str(exc), False
        except Exception as exc:  # its thread serves every visitor: a bug may not end it
            logger.exception("A strip could not be drawn.")
            queue.error, queue.is_open = f"{type(exc).__name__}: {exc}", False

    def _try(self, queue: VisitorQueue, steps: Sequence[Step]) -> None:
        with self._dispatcher.scope(None) as scope:
            with self._wake:
                if queue.is_overtaken:
                    return
                queue.scope = scope
            try:
                self._carry_out(queue.plan, steps, scope, lambda _: self._yield_to_visitors(scope))
            except SampleCancelledError:
                if not queue.is_overtaken and scope.request_id is not None:
                    self._wait(partial(self._frames.others_wait, scope.request_id))

    def _carry_out(
        self,
        plan: StripPlan,
        steps: Sequence[Step],
        scope: CancelScope,
        on_progress: OnProgress | None,
    ) -> None:
        try:
            self._dispatcher.ask(plan.project_id, portion(plan, steps), scope, on_progress)
        except SampleCancelledError:
            if scope.request_id is not None:
                retry_while_busy(partial(self._frames.forget, scope.request_id))
            raise
        if scope.request_id is not None:
            retry_while_busy(partial(self._frames.take, scope.request_id, steps))

    def _yield_to_visitors(self, scope: CancelScope) -> None:
        """Leave the request in hand when somebody waits for a picture behind it."""
        if scope.request_id is not None and self._frames.others_wait(scope.request_id):
            self._dispatcher.stop(scope)

    def _wait(self, condition: Callable[[], bool]) -> None:
        """Until the condition is false, or for long enough."""
        deadline = time.monotonic() + WAIT_FOR_OTHERS_S
        while condition() and time.monotonic() < deadline and not self._is_closed:
            time.sleep(POLL_S)
