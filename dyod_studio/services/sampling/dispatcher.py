"""Hand requests to the sampler, tell how far they are, and stop those that nobody wants any more.

Every request is a row first; whoever asked is known by a name that the page gives to each visitor.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from dyod_studio.errors import SampleCancelledError
from dyod_studio.jobs.processes import this_process
from dyod_studio.requests.sampling import AnyRequest, SamplingProgress
from dyod_studio.services.views import GenerationView, generation_view
from dyod_studio.store.cleaning import FileName, remove_unreferenced
from dyod_studio.store.database import retry_while_busy
from dyod_studio.store.files import PNG, WEBP
from dyod_studio.store.records import JobState
from dyod_studio.store.requests import GenerationRepository, InputFile, SampleRequestRepository
from dyod_studio.store.storage import Storage

POLL_S = 0.2
STOPPED = "This request was cancelled."
OnProgress = Callable[[SamplingProgress], None]
RunRequest = Callable[[int], None]
"""Carries out the sample request of this id and returns when it is done."""


class CancelScope:
    """The requests that one press of a button leads to, one after the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_cancelled = False
        self.request_id: int | None = None
        """The request in hand, or the last one."""

    @property
    def is_cancelled(self) -> bool:
        return self._is_cancelled

    def begin(self, request_id: int) -> bool:
        """Note what is in hand now; False when nothing more is wanted."""
        with self._lock:
            self.request_id = request_id
            return not self._is_cancelled

    def stop(self) -> int | None:
        """Want nothing more; returns the request in hand."""
        with self._lock:
            self._is_cancelled = True
            return self.request_id


class RequestDispatcher:
    """Takes requests for the sampler, from any number of visitors at once."""

    def __init__(self, storage: Storage, run_request: RunRequest) -> None:
        self._storage, self._run_request = storage, run_request
        self._lock = threading.Lock()
        self._scopes: defaultdict[str, set[CancelScope]] = defaultdict(set)

    @contextmanager
    def scope(self, visitor: str | None) -> Iterator[CancelScope]:
        """Requests made in this block end when ``cancel`` is called for the visitor."""
        scope, name = CancelScope(), visitor or ""
        with self._lock:
            self._scopes[name].add(scope)
        try:
            yield scope
        finally:
            with self._lock:
                self._scopes[name].discard(scope)
                if not self._scopes[name]:
                    del self._scopes[name]

    def cancel(self, visitor: str | None) -> int:
        """Stop all that the visitor asked for; returns how many errands that were."""
        with self._lock:
            scopes = list(self._scopes.get(visitor or "", ()))
        for scope in scopes:
            self.stop(scope)
        return len(scopes)

    def stop(self, scope: CancelScope) -> None:
        """Stop an errand: its request ends before the next denoiser call, its row at once."""
        request_id = scope.stop()
        if request_id is not None:
            retry_while_busy(partial(self._cancel, request_id))

    def ask(
        self,
        project_id: int,
        request: AnyRequest,
        scope: CancelScope,
        on_progress: OnProgress | None = None,
    ) -> list[GenerationView]:
        """Have one request carried out; returns what was made, in its order.

        Raises:
            SampleCancelledError: it was cancelled; this is said at once.
            StudioError: why it could not be done.
        """
        if scope.is_cancelled:
            raise SampleCancelledError(STOPPED)
        request_id = self._add(project_id, request)
        if not scope.begin(request_id):
            retry_while_busy(partial(self._cancel, request_id))
        try:
            self._watch(request_id, on_progress)
        except KeyboardInterrupt:
            self.stop(scope)
            raise
        with self._storage.database.session() as session:
            rows = GenerationRepository(session).of_request(request_id)
            return [generation_view(self._storage, made) for made in rows]

    def forget(self, request_id: int) -> list[FileName]:
        """Delete a request with its images unless one is marked; returns the files it named."""
        with self._storage.database.session() as session:
            made = GenerationRepository(session).of_request(request_id)
            if any(row.is_favorite for row in made):
                return []
            names = [FileName(row.sha256, PNG) for row in made]
            names += [FileName(row.thumbnail_sha256, WEBP) for row in made]
            inputs = SampleRequestRepository(session).delete(request_id)
            return names + [FileName(file.sha256, file.suffix) for file in inputs]

    def sweep(self, names: list[FileName]) -> None:
        """Remove those of the files that nothing names any more."""
        remove_unreferenced(self._storage, names)

    def _add(self, project_id: int, request: AnyRequest) -> int:
        store = self._storage.files
        with store.guard():
            inputs = tuple(
                InputFile(name, stored.sha256, stored.path.suffix)
                for name, path in request.inputs.items()
                if (stored := store.add_file(path, path.suffix.lower()))
            )
            with self._storage.database.session() as session:
                row = SampleRequestRepository(session).add(
                    project_id,
                    request.kind,
                    request.to_json(),
                    num_steps=request.num_inference_steps,
                    inputs=inputs,
                    owner=this_process(),
                )
                return row.id

    def _cancel(self, request_id: int) -> None:
        with self._storage.database.session() as session:
            SampleRequestRepository(session).end(request_id, JobState.CANCELLED)

    def _watch(self, request_id: int, on_progress: OnProgress | None) -> None:
        """Wait for the request, telling how far it is; its error is raised here.

        A cancelled one is not waited for: the sampler leaves it within a step.
        """
        running = _in_thread(partial(self._run_request, request_id))
        while not wait_for([running], timeout=POLL_S).done:
            with self._storage.database.session() as session:
                row = SampleRequestRepository(session).get(request_id)
            if row.state is JobState.CANCELLED:
                raise SampleCancelledError(STOPPED)
            if on_progress:
                on_progress(SamplingProgress(row.step, row.num_steps))
        running.result()


def _in_thread(action: Callable[[], None]) -> "Future[None]":
    """Run in a thread that nobody needs to wait for."""
    future: Future[None] = Future()

    def run() -> None:
        try:
            action()
            future.set_result(None)
        except BaseException as exc:  # whoever waits for the future is told
            future.set_exception(exc)

    threading.Thread(target=run, daemon=True).start()
    return future


Draw = Callable[[CancelScope], list[GenerationView]]
"""Makes one request and returns its picture."""


@dataclass(eq=False, slots=True)
class Track:
    """State of one visitor's live pictures.

    ``newest`` counts what was asked for; ``scope`` is in hand, ``turn`` held meanwhile; ``last``
    is the request that is shown, ``stale`` the files before it, which a browser may still load.
    """

    newest: int = 0
    scope: CancelScope | None = None
    last: int | None = None
    stale: list[FileName] = field(default_factory=list)
    turn: threading.Lock = field(default_factory=threading.Lock)


class Live:
    """Draws the newest of what each visitor asks for."""

    def __init__(self, dispatcher: RequestDispatcher) -> None:
        self._dispatcher = dispatcher
        self._lock = threading.Lock()
        self._tracks: dict[str, Track] = {}

    def draw(self, visitor: str, draw: Draw) -> GenerationView | None:
        """The picture; None when a newer stroke has overtaken it, or it was cancelled."""
        track, ticket = self._overtake(visitor)
        with track.turn, self._dispatcher.scope(visitor) as scope:
            with self._lock:
                if ticket != track.newest:
                    return None
                track.scope = scope
            try:
                view = draw(scope)[0]
            except SampleCancelledError:
                self._forget(scope.request_id)
                return None
            if ticket != track.newest or scope.is_cancelled:
                self._forget(scope.request_id)
                return None
            self._dispatcher.sweep(track.stale)
            track.stale = [] if track.last is None else self._dispatcher.forget(track.last)
            track.last = scope.request_id
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
            ticket, scope = track.newest, track.scope
        if scope is not None:
            self._dispatcher.stop(scope)
        return track, ticket

    def _forget(self, request_id: int | None) -> None:
        if request_id is not None:
            self._dispatcher.sweep(self._dispatcher.forget(request_id))
