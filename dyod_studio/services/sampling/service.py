"""Ask the sampler for pictures: what a request says, checked before any of it is done."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from safetensors import safe_open

from dyod_studio.datasets.preparing import centre_crop
from dyod_studio.datasets.reading import read_image
from dyod_studio.errors import InvalidInputError, RejectedImageError
from dyod_studio.requests.sampling import (
    CONDITION,
    DEFAULT_T0,
    REGION,
    Denoising,
    InterpolationSettings,
    SampleSettings,
    SamplingProgress,
    TraversalSettings,
)
from dyod_studio.services.parts import check_conditionable, choose_parts
from dyod_studio.services.projects import Projects
from dyod_studio.services.sampling.dispatcher import (
    Asked,
    Live,
    OnProgress,
    RequestDispatcher,
    RunRequest,
)
from dyod_studio.services.sampling.grid import Grid, GridView
from dyod_studio.services.sampling.palette import palette_of
from dyod_studio.services.views import CoordinateView, GenerationView, ProjectView
from dyod_studio.store.files import SAFETENSORS
from dyod_studio.store.storage import Storage
from dyod_studio.store.tables import Artifact

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


SEED_PREFIX = "seed:"


class Sampling:
    """What the Studio and Explore screens, ``sample``, ``interpolate`` and ``traverse`` ask for.

    ``visitor`` is any name of who asks: ``cancel`` stops all that was asked under it.
    """

    def __init__(self, storage: Storage, projects: Projects, run_request: RunRequest) -> None:
        self._storage, self._projects = storage, projects
        self._dispatcher = RequestDispatcher(storage, run_request)
        self._live = Live(self._dispatcher)

    def sample(
        self,
        ref: int | str,
        settings: SampleSettings,
        on_progress: OnProgress | None = None,
        *,
        visitor: str | None = None,
    ) -> list[GenerationView]:
        """New pictures by one of the three initialisations.

        Raises:
            InvalidInputError: a setting, the picture or a missing trained part.
            SampleCancelledError: ``cancel`` was called for the visitor.
        """
        return self._ask(self._checked(ref, settings), on_progress, visitor)

    def live(
        self, ref: int | str, settings: SampleSettings, *, visitor: str
    ) -> GenerationView | None:
        """One quick picture, unless the visitor asks for a newer one before it is there.

        Of a visitor's live pictures only the last one is kept; ``keep_live`` keeps it for good.
        """
        asked = self._checked(ref, replace(settings, num_images=1))
        return self._live.draw(visitor, lambda scope: self._dispatcher.ask(asked, scope))

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
        cells = grid.cells(_drawn_seed(grid.settings))
        asked = [self._described(ref, settings) for settings in cells]
        check_pictures(asked[0].files)
        views: list[GenerationView] = []
        with self._dispatcher.scope(visitor) as scope:
            for done, request in enumerate(asked):
                views += self._dispatcher.ask(request, scope, _share(on_progress, done, len(asked)))
        return GridView(tuple(views), grid.x, grid.y)

    def interpolate(
        self,
        ref: int | str,
        settings: InterpolationSettings,
        on_progress: OnProgress | None = None,
        *,
        visitor: str | None = None,
    ) -> list[GenerationView]:
        """Frames from one end to the other; the noise is the seed's, or free.

        Without a seed, the noise is that of end A when A is a seed: the first frame is then the
        very picture which that seed makes from the distribution.
        """
        project = self._projects.get(ref)
        parts = self._parts(project, settings.use, needs_vae=True)
        parameters = common_parameters(project, settings, parts, DEFAULT_T0["distribution"])
        if settings.seed is None and settings.a.startswith(SEED_PREFIX):
            parameters["seed"] = int(settings.a.removeprefix(SEED_PREFIX))
        ends = {"a": settings.a, "b": settings.b}
        files = {name: Path(end) for name, end in ends.items() if not end.startswith(SEED_PREFIX)}
        parameters |= {name: Path(end).name for name, end in ends.items()}
        parameters |= {
            "num_frames": settings.num_frames,
            "free_noise": settings.free_noise,
            "is_spherical": settings.is_spherical,
        }
        check_pictures(files)
        asked = Asked(project.id, "interpolation", parameters, files)
        return self._ask(asked, on_progress, visitor)

    def traverse(
        self,
        ref: int | str,
        settings: TraversalSettings,
        on_progress: OnProgress | None = None,
        *,
        visitor: str | None = None,
    ) -> list[GenerationView]:
        """Frames in which one coordinate of a seed's code moves, all else fixed."""
        project = self._projects.get(ref)
        parts = self._parts(project, settings.use, needs_vae=True)
        count = len(self.coordinates(ref))
        if settings.coordinate >= count:
            raise InvalidInputError(
                f"coordinate must lie in [0, {count - 1}], got {settings.coordinate}."
            )
        parameters = common_parameters(project, settings, parts, DEFAULT_T0["distribution"])
        parameters |= {
            "coordinate": settings.coordinate,
            "span": settings.span,
            "num_frames": settings.num_frames,
        }
        return self._ask(Asked(project.id, "traversal", parameters, {}), on_progress, visitor)

    def palette(self, ref: int | str) -> tuple[str, ...]:
        """Brushes in the colours of the project's set, as #rrggbb."""
        return palette_of(self._storage, self._projects.get(ref).id)

    def coordinates(self, ref: int | str) -> list[CoordinateView]:
        """The coordinates of the trained VAE, the one that tells most apart first."""
        project = self._projects.get(ref)
        vae = self._parts(project, (), needs_vae=True)["vae"]
        path = self._storage.files.path(vae.sha256, SAFETENSORS)
        with safe_open(path, framework="numpy") as file:
            kl = [float(value) for value in file.get_tensor("kl")]
        order = sorted(range(len(kl)), key=lambda index: (-kl[index], index))
        return [CoordinateView(rank, index, kl[index]) for rank, index in enumerate(order)]

    def _checked(self, ref: int | str, settings: SampleSettings) -> Asked:
        """What a request for new pictures says, after its pictures were read."""
        asked = self._described(ref, settings)
        check_pictures(asked.files)
        return asked

    def _described(self, ref: int | str, settings: SampleSettings) -> Asked:
        project = self._projects.get(ref)
        parts = self._parts(project, settings.use, needs_vae=settings.start == "distribution")
        if settings.is_conditioned:
            check_conditionable(parts)
        parameters = common_parameters(project, settings, parts, DEFAULT_T0[settings.start])
        if settings.start == "prompt" and parameters["t0"] != 1:
            raise InvalidInputError(
                f"A start from the prompt alone has t0 = 1, got {parameters['t0']:g}: "
                "start from distribution or image to use another t0."
            )
        parameters |= {
            "num_images": settings.num_images,
            "condition_text": settings.condition_text or None,
            "mask_rate": settings.mask_rate,
            "text_weight": settings.text_weight,
        }
        files = {"image": settings.image} if settings.image else {}
        if settings.region:
            files[REGION] = settings.region
        for number, path in enumerate(settings.conditions, start=1):
            files[CONDITION if number == 1 else f"{CONDITION}_{number}"] = path
        return Asked(project.id, settings.start, parameters, files)

    def _ask(
        self, asked: Asked, on_progress: OnProgress | None, visitor: str | None
    ) -> list[GenerationView]:
        with self._dispatcher.scope(visitor) as scope:
            return self._dispatcher.ask(asked, scope, on_progress)

    def _parts(
        self, project: ProjectView, use: Sequence[str] | None, *, needs_vae: bool
    ) -> dict[str, Artifact]:
        with self._storage.database.session() as session:
            return choose_parts(session, project, use, needs_vae=needs_vae)


def common_parameters(
    project: ProjectView, settings: Denoising, parts: Mapping[str, Artifact], default_t0: float
) -> dict[str, Any]:
    """The parameters of every kind of request; a seed is drawn when none is given."""
    return {
        "t0": default_t0 if settings.t0 is None else settings.t0,
        "seed": _drawn_seed(settings),
        "num_inference_steps": settings.num_inference_steps,
        "guidance_scale": settings.guidance_scale,
        "prompt": settings.prompt or None,
        "artifacts": {kind: row.sha256 for kind, row in parts.items()},
        "adapter_strength": settings.strength,
        "base": project.base,
    }


def _drawn_seed(settings: Denoising) -> int:
    return secrets.randbelow(2**31) if settings.seed is None else settings.seed


def _share(on_progress: OnProgress | None, done: int, count: int) -> OnProgress | None:
    """Progress of one request among several, as a part of all of them."""
    if on_progress is None:
        return None
    tell = on_progress
    return lambda p: tell(SamplingProgress(done * p.num_steps + p.step, count * p.num_steps))
