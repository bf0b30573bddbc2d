"""The sampler process beside the page: started on first use, kept warm, replaced when it dies.

It loads torch and the models; the page's own process never does.
"""

import atexit
import multiprocessing
import os
import threading
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import partial

from dyod_studio.errors import SampleCancelledError, SamplerError
from dyod_studio.jobs.devices import host_name
from dyod_studio.jobs.processes import is_alive, log_to_stderr
from dyod_studio.settings import Settings
from dyod_studio.store.database import retry_while_busy
from dyod_studio.store.records import JobState
from dyod_studio.store.requests import SampleRequestRepository
from dyod_studio.store.storage import Storage, open_storage

DIED = "The sampler process ended unexpectedly; try again, a new one starts by itself."
LEFT = "The studio ended before this was made; ask for it again."


class SamplerPool:
    """Carries out sample requests, one after the other, in one long-lived process.

    The process opens the storage once, when it starts.
    """

    def __init__(self, settings: Settings, storage: Storage) -> None:
        self._settings, self._storage = settings, storage
        self._lock = threading.Lock()
        self._executor: ProcessPoolExecutor | None = None
        self._in_hand: set[int] = set()
        self.reconcile()

    def reconcile(self) -> list[int]:
        """Close the requests of this machine whose process died; returns their ids.

        A sampler never outlives the process that it works for, so nobody will end them.
        """
        return retry_while_busy(partial(_close_orphans, self._storage))

    def run(self, request_id: int) -> None:
        """Carry out a queued request; safe to call from several threads.

        Raises:
            StudioError: why the request could not be done.
            SamplerError: the process died; the next request gets a new one.
        """
        self._in_hand.add(request_id)
        try:
            if not self._try(request_id) and not (
                self._is_untouched(request_id) and self._try(request_id)
            ):
                self._end(request_id, JobState.FAILED, DIED)
                raise SamplerError(DIED)
        except CancelledError as exc:
            raise SampleCancelledError("This request was cancelled.") from exc
        finally:
            self._in_hand.discard(request_id)

    def _try(self, request_id: int) -> bool:
        """Carry the request out; False when the process died first."""
        with self._lock:
            executor, running = self._submit(request_id)
        try:
            running.result()
        except BrokenProcessPool:
            self._forget(executor)
            return False
        return True

    def _is_untouched(self, request_id: int) -> bool:
        """Whether the process had died before it began: then a new one may begin."""
        with self._storage.database.session() as session:
            return SampleRequestRepository(session).get(request_id).state is JobState.QUEUED

    def close(self) -> None:
        """Cancel what is in hand, and end the process."""
        with self._lock:
            executor, self._executor = self._executor, None
            in_hand = sorted(self._in_hand)
        for request_id in in_hand:
            self._end(request_id, JobState.CANCELLED, None)
        if executor is not None:
            executor.shutdown(cancel_futures=True)

    def _submit(self, request_id: int) -> "tuple[ProcessPoolExecutor, Future[None]]":
        """Hand the request over; a process that died while idle is replaced first."""
        if self._executor is not None:
            try:
                return self._executor, self._executor.submit(run_in_sampler, request_id)
            except BrokenProcessPool:
                self._executor.shutdown(wait=False)
        self._executor = _start(self._settings)
        return self._executor, self._executor.submit(run_in_sampler, request_id)

    def _forget(self, executor: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._executor is executor:
                self._executor = None
        executor.shutdown(wait=False)

    def _end(self, request_id: int, state: JobState, error: str | None) -> None:
        retry_while_busy(partial(_end_open, self._storage, request_id, state, error))


def _start(settings: Settings) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        max_workers=1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=begin,
        initargs=(settings,),
    )


_opened: list[tuple[Settings, Storage]] = []
"""The storage of a sampler process, kept open until it ends."""


def begin(settings: Settings) -> None:
    """The start of a sampler process, before its first request."""
    log_to_stderr()
    _end_with_parent()
    stack = ExitStack()
    opening = open_storage(settings.storage, settings.resolved_database_url)
    _opened.append((settings, stack.enter_context(opening)))
    atexit.register(stack.close)


def _end_with_parent() -> None:
    """Let no sampler stay behind, with a card full of weights, when the page was killed."""
    parent = multiprocessing.parent_process()

    def wait_and_end() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait_and_end, daemon=True).start()


def run_in_sampler(request_id: int) -> None:
    """Carry out a request in a sampler process that has begun."""
    from dyod_studio.jobs.sampler import run_request

    run_request(*_opened[-1], request_id)


def _close_orphans(storage: Storage) -> list[int]:
    closed = []
    with storage.database.session() as session:
        requests = SampleRequestRepository(session)
        for request_id, owner in requests.open_of_host(host_name()):
            if not is_alive(owner) and requests.end(request_id, JobState.FAILED, error=LEFT):
                closed.append(request_id)
    return closed


def _end_open(storage: Storage, request_id: int, state: JobState, error: str | None) -> None:
    with storage.database.session() as session:
        SampleRequestRepository(session).end(request_id, state, error=error)
