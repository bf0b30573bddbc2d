"""Ask the sampler for pictures: what a request says, checked before any of it is done."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from PIL import Image
from safetensors import safe_open

from dyod_studio.datasets.images import centre_crop, read_image
from dyod_studio.errors import InvalidInputError, RejectedImageError
from dyod_studio.requests.sampling import (
    REGION,
    SEED_PREFIX,
    AnyRequest,
    InterpolationRequest,
    SampleRequest,
    SamplingProgress,
    SamplingRequest,
    TraversalRequest,
    default_t0,
)
from dyod_studio.services.projects import Projects, check_conditionable, choose_parts
from dyod_studio.services.sampling.dispatcher import Live, OnProgress, RequestDispatcher
from dyod_studio.services.sampling.grid import Grid, GridView
from dyod_studio.services.sampling.palette import palette_of
from dyod_studio.services.views import CoordinateView, GenerationView, ProjectView
from dyod_studio.store.database import Session
from dyod_studio.store.files import SAFETENSORS
from dyod_studio.store.storage import Storage

R = TypeVar("R", bound=SamplingRequest)
S = TypeVar("S", bound=SampleRequest)
ASPECT_TOLERANCE = 0.01
"""A mask may be of another size than its picture, but not of another shape."""


def check_pictures(files: Mapping[str, Path]) -> None:
    """Refuse a file that is no picture, and a region of another shape than its picture.

    Args:
        files: by the names of a request's inputs.

    Raises:
        InvalidInputError: what is wrong, with the file's name.
    """
    sizes = {name: _size_of(path) for name, path in files.items()}
    if REGION not in sizes:
        return
    (width, height), (mask_width, mask_height) = sizes["image"], sizes[REGION]
    if abs(mask_width * height / (mask_height * width) - 1) > ASPECT_TOLERANCE:
        raise InvalidInputError(
            f"The region has {mask_width} x {mask_height} pixels and the picture "
            f"{width} x {height}: draw the region over the picture itself."
        )


def square_of(path: Path, *, is_mask: bool = False) -> Image.Image:
    """The middle square of a request's picture, RGB: all that the sampler reads of it.

    Args:
        is_mask: what is transparent is not marked.
    """
    image = read_image(path, background=(0, 0, 0)) if is_mask else read_image(path)
    return image.crop(centre_crop(image.size).box)


def _size_of(path: Path) -> tuple[int, int]:
    if not path.is_file():
        raise InvalidInputError(f"There is no picture {str(path)!r}.")
    try:
        return read_image(path).size
    except RejectedImageError as exc:
        raise InvalidInputError(f"{path.name} {exc}.".replace("..", ".")) from exc


class Sampling:
    """Sampling, for the Draw and Explore screens, ``sample``, ``interpolate`` and ``traverse``.

    ``visitor`` is any name of who asks: ``cancel`` stops all that was asked under it.
    """

    def __init__(self, storage: Storage, projects: Projects, dispatcher: RequestDispatcher) -> None:
        self._storage, self._projects = storage, projects
        self._dispatcher = dispatcher
        self._live = Live(self._dispatcher)

    def sample(
        self,
        ref: int | str,
        request: SampleRequest,
        on_progress: OnProgress | None = None,
        *,
        visitor: str | None = None,
    ) -> list[GenerationView]:
        """New pictures by one of the three initialisations.

        Raises:
            InvalidInputError: a value, the picture or a missing trained part.
            SampleCancelledError: ``cancel`` was called for the visitor.
        """
        return self._dispatch(ref, request, on_progress, visitor)

    def live(
        self, ref: int | str, request: SampleRequest, *, visitor: str
    ) -> GenerationView | None:
        """One quick picture, unless the visitor asks for a newer one before it is there.

        Of a visitor's live pictures only the last one is kept; ``keep_live`` keeps it for good.
        """
        project = self._projects.get(ref)
        ready = self._completed(project, request.replace(num_images=1))
        check_pictures(ready.inputs)
        return self._live.draw(
            visitor, lambda scope: self._dispatcher.ask(project.id, ready, scope)
        )

    def keep_live(self, visitor: str) -> None:
        """Leave the visitor's live picture in the gallery when the next one comes."""
        self._live.keep(visitor)

    def cancel(self, visitor: str) -> int:
        """Stop all that the visitor waits for; returns how many things that were."""
        count = self._dispatcher.cancel(visitor)
        self._live.stop(visitor)
        return count

    def grid(
        self,
        ref: int | str,
        grid: Grid,
        on_progress: OnProgress | None = None,
        *,
        visitor: str | None = None,
    ) -> GridView:
        """The same picture once for every value of an axis, or every pair of two.

        All is checked before the first picture; without a seed, one is drawn for all of them.
        """
        project = self._projects.get(ref)
        cells = [self._completed(project, cell) for cell in grid.cells(drawn_seed(grid.request))]
        check_pictures(cells[0].inputs)
        views: list[GenerationView] = []
        with self._dispatcher.scope(visitor) as scope:
            for done, cell in enumerate(cells):
                on_cell = _share(on_progress, done, len(cells))
                views += self._dispatcher.ask(project.id, cell, scope, on_cell)
        return GridView(tuple(views), grid.x, grid.y)

    def interpolate(
        self,
        ref: int | str,
        request: InterpolationRequest,
        on_progress: OnProgress | None = None,
        *,
        visitor: str | None = None,
    ) -> list[GenerationView]:
        """Frames from one end to the other; the noise is the seed's, or free.

        Without a seed, the noise is that of end A when A is a seed: the first frame is then the
        very picture which that seed makes from the distribution.
        """
        ends = {"a": request.a, "b": request.b}
        inputs = {name: Path(end) for name, end in ends.items() if not end.startswith(SEED_PREFIX)}
        names = {name: Path(end).name for name, end in ends.items()}
        seed = request.seed
        if seed is None and request.a.startswith(SEED_PREFIX):
            seed = int(request.a.removeprefix(SEED_PREFIX))
        request = request.replace(**names, seed=seed, inputs=inputs)
        return self._dispatch(ref, request, on_progress, visitor)

    def traverse(
        self,
        ref: int | str,
        request: TraversalRequest,
        on_progress: OnProgress | None = None,
        *,
        visitor: str | None = None,
    ) -> list[GenerationView]:
        """Frames in which one coordinate of a seed's code moves, all else fixed."""
        count = len(self.coordinates(ref))
        if request.coordinate >= count:
            raise InvalidInputError(
                f"coordinate must lie in [0, {count - 1}], got {request.coordinate}."
            )
        return self._dispatch(ref, request, on_progress, visitor)

    def palette(self, ref: int | str) -> tuple[str, ...]:
        """Brushes in the colours of the project's set, as #rrggbb."""
        return palette_of(self._storage, self._projects.get(ref).id)

    def coordinates(self, ref: int | str) -> list[CoordinateView]:
        """The coordinates of the trained VAE, the one that tells most apart first."""
        project = self._projects.get(ref)
        with self._storage.database.session() as session:
            vae = choose_parts(session, project, (), needed=("vae",))["vae"]
        path = self._storage.files.path(vae.sha256, SAFETENSORS)
        with safe_open(path, framework="numpy") as file:
            kl = [float(value) for value in file.get_tensor("kl")]
        order = sorted(range(len(kl)), key=lambda index: (-kl[index], index))
        return [CoordinateView(rank, index, kl[index]) for rank, index in enumerate(order)]

    def _dispatch(
        self,
        ref: int | str,
        request: AnyRequest,
        on_progress: OnProgress | None,
        visitor: str | None,
    ) -> list[GenerationView]:
        """Have a request carried out, after its pictures were read."""
        project = self._projects.get(ref)
        ready = self._completed(project, request)
        check_pictures(ready.inputs)
        with self._dispatcher.scope(visitor) as scope:
            return self._dispatcher.ask(project.id, ready, scope, on_progress)

    def _completed(self, project: ProjectView, request: R) -> R:
        with self._storage.database.session() as session:
            return complete(session, project, request)


def complete(session: Session, project: ProjectView, request: R) -> R:
    """The request with nothing left open that the project decides: base, parts, t0, seed.

    Raises:
        InvalidInputError: a part or an input file lacks, or they do not go together.
    """
    parts = choose_parts(session, project, request.use, needed=request.needed_parts)
    usual = default_t0(request.kind, project.base, parts)
    t0 = usual if request.t0 is None else request.t0
    if isinstance(request, SampleRequest):
        request.check_inputs()
        if request.is_conditioned:
            check_conditionable(parts)
        request = _near_reference(request)
        if request.kind == "prompt" and t0 != 1:
            raise InvalidInputError(
                f"A start from the prompt alone has t0 = 1, got {t0:g}: "
                "start from distribution or image to use another t0."
            )
    return request.replace(
        base=project.base,
        artifacts={kind: row.sha256 for kind, row in parts.items()},
        t0=t0,
        seed=drawn_seed(request),
        prompt=request.prompt or None,
        condition_text=request.condition_text or None,
    )


def _near_reference(request: S) -> S:
    """New shapes near the condition pictures, where there are some, and not near any of the set."""
    if request.codes == "reference" and not request.conditions:
        raise InvalidInputError("Shapes near a reference need one: give a condition picture.")
    if request.kind == "distribution" and request.conditions and request.codes == "near":
        return request.replace(codes="reference")
    return request


def drawn_seed(request: SamplingRequest) -> int:
    """The request's seed, or a new one where it leaves it open."""
    return secrets.randbelow(2**31) if request.seed is None else request.seed


def _share(on_progress: OnProgress | None, done: int, count: int) -> OnProgress | None:
    """Progress of one request among several, as a part of all of them."""
    if on_progress is None:
        return None
    tell = on_progress
    return lambda p: tell(SamplingProgress(done * p.num_steps + p.step, count * p.num_steps))
