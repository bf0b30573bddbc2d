"""The composition root: settings to a working studio."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from subprocess import Popen

from dyod_studio.jobs.one_shot import Run, run_here, run_in_subprocess
from dyod_studio.jobs.processes import log_to_stderr
from dyod_studio.services.artifacts import Artifacts
from dyod_studio.services.augmentation.service import Augmenting
from dyod_studio.services.captions import Captions
from dyod_studio.services.evaluation.service import Evaluation
from dyod_studio.services.exchange.export import Exports
from dyod_studio.services.exchange.project_import import Imports
from dyod_studio.services.explore.bookmarks import Bookmarks
from dyod_studio.services.explore.service import Explore
from dyod_studio.services.gallery.recreate import Recreation
from dyod_studio.services.gallery.service import Gallery
from dyod_studio.services.machine import Doctor, Tokens
from dyod_studio.services.pictures import Pictures
from dyod_studio.services.projects import Projects
from dyod_studio.services.sampling.dispatcher import RequestDispatcher, RunRequest
from dyod_studio.services.sampling.service import Sampling
from dyod_studio.services.studio import Studio
from dyod_studio.services.training.service import Training
from dyod_studio.settings import Settings
from dyod_studio.store.storage import Storage, open_storage


def build_studio(
    settings: Settings, storage: Storage, run_request: RunRequest, run: Run = run_here
) -> Studio:
    """Wire the parts together.

    Args:
        run_request: decides where pictures are made.
        run: decides where else a base model is loaded.
    """
    projects = Projects(storage, settings.base)
    gallery = Gallery(storage)
    dispatcher = RequestDispatcher(storage, run_request)
    sampling = Sampling(storage, projects, dispatcher)
    explore = Explore(storage, projects, sampling, dispatcher)
    return Studio(
        projects=projects,
        pictures=Pictures(storage),
        captions=Captions(storage),
        training=Training(storage, settings),
        sampling=sampling,
        explore=explore,
        bookmarks=Bookmarks(storage, projects, sampling, explore),
        gallery=gallery,
        exports=Exports(storage, projects, gallery),
        imports=Imports(storage, projects),
        recreation=Recreation(storage, projects, dispatcher),
        doctor=Doctor(storage, settings),
        artifacts=Artifacts(storage, projects, settings, run),
        tokens=Tokens(settings, run),
        evaluation=Evaluation(storage, projects),
        augmenting=Augmenting(storage, projects, settings),
    )


@contextmanager
def command_line_studio(settings: Settings) -> Iterator[Studio]:
    """A studio that makes pictures in this very process, for one command."""
    with _opened(settings) as storage:
        yield build_studio(settings, storage, _inline_sampler(settings, storage))


@contextmanager
def page_studio(settings: Settings) -> Iterator[Studio]:
    """A studio with a warm sampler process and a worker for the training queue beside it."""
    from dyod_studio.jobs.sampler_pool import SamplerPool
    from dyod_studio.jobs.worker import worker_kept

    with _opened(settings) as storage, worker_kept(settings):
        sampler = SamplerPool(settings, storage)
        studio = build_studio(settings, storage, sampler.run, run_in_subprocess)
        studio.gallery.empty_bin()
        try:
            yield studio
        finally:
            studio.explore.prefetcher.close()
            sampler.close()


def serve(settings: Settings) -> None:
    """Serve the page until it is interrupted."""
    from dyod_studio.ui.launch import launch

    log_to_stderr()
    with page_studio(settings) as studio:
        launch(studio, settings)


def run_worker(settings: Settings, *, once: bool, drain: bool) -> int:
    """Run queued jobs: one at most with ``once``, until none is left with ``drain``, else for ever.

    Returns how many were run to their end.
    """
    from dyod_studio.jobs.worker import run_worker as run

    return run(settings, once=once, drain=drain)


def start_worker(settings: Settings) -> Popen[bytes]:
    """Start a worker that serves while this process lives; keep it, it need not be waited for."""
    from dyod_studio.jobs.worker import start_worker as start

    return start(settings)


def _opened(settings: Settings) -> AbstractContextManager[Storage]:
    return open_storage(settings.storage, settings.resolved_database_url, migrate=True)


def _inline_sampler(settings: Settings, storage: Storage) -> Callable[[int], None]:
    def run(request_id: int) -> None:
        from dyod_studio.jobs.sampler import run_request

        run_request(settings, storage, request_id)

    return run
