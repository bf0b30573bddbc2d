"""Progress bars on standard error, drawn by tqdm."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from dyod_studio.studio.sampling.requests import SamplingProgress
from dyod_studio.studio.views import JobView

AFTER_S = 0.3
"""What is refused at once is answered by its sentence alone, without an empty bar."""


@contextmanager
def counted(title: str, *, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar that is told how many of how many are done; the total may be unknown."""
    with tqdm(desc=title, unit=unit, file=sys.stderr, mininterval=0.5, delay=AFTER_S) as bar:

        def on_progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield on_progress
        bar.refresh()


@contextmanager
def sampling_progress(title: str) -> Iterator[Callable[[SamplingProgress], None]]:
    """A bar over the denoiser calls of a request."""
    with counted(title, unit="step") as on_progress:
        yield lambda progress: on_progress(progress.step, progress.num_steps)


@contextmanager
def training_progress(title: str) -> Iterator[Callable[[JobView], None]]:
    """A bar over the updates of a job, with its loss."""
    with tqdm(desc=title, unit="step", file=sys.stderr, mininterval=0.5, delay=AFTER_S) as bar:

        def on_progress(job: JobView) -> None:
            bar.total = job.num_steps
            bar.set_postfix_str(
                job.state if job.loss is None else f"loss {job.loss:.4f}", refresh=False
            )
            bar.update(job.step - bar.n)

        yield on_progress
        bar.refresh()
