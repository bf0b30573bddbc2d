"""The composition root: settings to a working studio."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import Popen

from dyod_studio.settings import Settings
from dyod_studio.store.storage import Storage, open_storage
from dyod_studio.studio.doctor import Doctor
from dyod_studio.studio.exports import Exports
from dyod_studio.studio.facade import Studio
from dyod_studio.studio.gallery import Gallery
from dyod_studio.studio.projects import Projects
from dyod_studio.studio.sampling import RunRequest, Sampling
from dyod_studio.studio.training import Training


def build_studio(settings: Settings, storage: Storage, run_request: RunRequest) -> Studio:
    """Wire the parts together; ``run_request`` decides where pictures are made."""
    projects = Projects(storage, settings.base)
    gallery = Gallery(storage)
    return Studio(
        projects=projects,
        training=Training(storage),
        sampling=Sampling(storage, projects, run_request),
        gallery=gallery,
        exports=Exports(storage, projects, gallery),
        doctor=Doctor(storage, settings),
    )


@contextmanager
def command_line_studio(settings: Settings) -> Iterator[Studio]:
    """A studio that makes pictures in this very process, for one command."""
    with _opened(settings) as storage:
        yield build_studio(settings, storage, _inline_sampler(settings))


@contextmanager
def page_studio(settings: Settings) -> Iterator[Studio]:
    """A studio with a warm sampler process and a worker for the training queue beside it."""
    from dyod_studio.jobs.sampler_pool import SamplerPool

    with _opened(settings) as storage:
        sampler = SamplerPool(settings)
        _worker = start_worker(settings)  # outlives the page; kept, so that nobody calls it lost
        try:
            yield build_studio(settings, storage, sampler.run)
        finally:
            sampler.close()


def serve(settings: Settings) -> None:
    """Serve the page until it is interrupted."""
    from dyod_studio.ui.launching import launch

    with page_studio(settings) as studio:
        launch(studio, settings)


def run_worker(settings: Settings, *, once: bool) -> int:
    """Run queued jobs, with ``once`` until the queue is empty; returns how many were run."""
    from dyod_studio.jobs.worker import run_worker as run

    return run(settings, once=once)


def start_worker(settings: Settings) -> Popen[bytes]:
    """Start a worker that serves while this process lives; keep it, it need not be waited for."""
    from dyod_studio.jobs.worker import start_worker as start

    return start(settings)


@contextmanager
def _opened(settings: Settings) -> Iterator[Storage]:
    storage = open_storage(settings.storage, settings.resolved_database_url)
    try:
        yield storage
    finally:
        storage.close()


def _inline_sampler(settings: Settings) -> Callable[[int], None]:
    def run(request_id: int) -> None:
        from dyod_studio.jobs.sampler import run_request

        run_request(settings, request_id)

    return run
