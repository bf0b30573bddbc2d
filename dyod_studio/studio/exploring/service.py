"""What the Explore screen draws beside new pictures: ways between two, and what lies near one."""

from pathlib import Path
from typing import Any

from dyod_studio.errors import InvalidInputError
from dyod_studio.store.storage import Storage
from dyod_studio.studio.exploring.frames import Frames
from dyod_studio.studio.exploring.origins import Origin, find_origin
from dyod_studio.studio.exploring.plans import Step, Walk, around, key_of, way
from dyod_studio.studio.exploring.requests import NUM_TRAITS, NearSettings, PlaceSettings
from dyod_studio.studio.exploring.walks import Walks
from dyod_studio.studio.parts import choose_parts
from dyod_studio.studio.projects import Projects
from dyod_studio.studio.sampling.asking import Asked, Desk, OnProgress, RunRequest
from dyod_studio.studio.sampling.requests import DEFAULT_T0, Denoising, InterpolationSettings
from dyod_studio.studio.sampling.service import Sampling, common_parameters
from dyod_studio.studio.views import GenerationView

DEFAULT_SEED = 1
"""The noise of a walk that begins at no seed: always the same, so that it is drawn once."""


class Exploring:
    """Plans ways and places; ``walks`` draws them in the background."""

    def __init__(
        self, storage: Storage, projects: Projects, sampling: Sampling, run_request: RunRequest
    ) -> None:
        self._storage, self._projects, self._sampling = storage, projects, sampling
        self._desk = Desk(storage, run_request)
        self._frames = Frames(storage)
        self.walks = Walks(storage, self._desk)

    def way(self, ref: int | str, settings: InterpolationSettings) -> Walk:
        """The frames between two ends, ready to be drawn.

        Raises:
            InvalidInputError: an end cannot be used, both are the same, or a part is missing.
        """
        project_id, parameters = self._common(ref, settings)
        a = self._origin(project_id, parameters, "A", settings.a)
        b = self._origin(project_id, parameters, "B", settings.b)
        if a == b:
            raise InvalidInputError("A and B are the same picture: choose another one for B.")
        parameters |= {
            "seed": _seed(settings, a),
            "a": a.said,
            "b": b.said,
            "num_frames": settings.num_frames,
            "free_noise": settings.free_noise,
            "is_spherical": settings.is_spherical,
        }
        return way(Asked(project_id, "interpolation", parameters, _files(a=a, b=b)))

    def around(self, ref: int | str, settings: PlaceSettings) -> Walk:
        """The place and a strip along each of the first traits, ready to be drawn."""
        num_traits = min(NUM_TRAITS, len(self._sampling.coordinates(ref)))
        return around(self._place(ref, settings), settings.moved, num_traits)

    def place(self, ref: int | str, settings: PlaceSettings) -> Walk:
        """The place alone, ready to be drawn."""
        asked, what = self._place(ref, settings), tuple(settings.moved.items())
        key = key_of(asked, what)
        return Walk(asked, (Step(key, what),), (((0.0, key),),))

    def near(
        self,
        ref: int | str,
        settings: NearSettings,
        on_progress: OnProgress | None = None,
        *,
        visitor: str | None = None,
    ) -> list[GenerationView]:
        """New pictures near one, each with a code and a noise of its own."""
        project_id, parameters = self._common(ref, settings)
        origin = self._origin(project_id, parameters, "origin", settings.origin)
        parameters |= {
            "origin": origin.said,
            "places": [{} for _ in range(settings.num_images)],
            "spread": settings.spread,
            "free_noise": True,
        }
        asked = Asked(project_id, "near", parameters, _files(origin=origin))
        with self._desk.errand(visitor) as errand:
            return self._desk.ask(asked, errand, on_progress)

    def cancel(self, visitor: str) -> int:
        """Stop the new pictures that the visitor waits for; returns how many errands that were."""
        return self._desk.cancel(visitor)

    def keep(self, ref: int | str, key: str, *, is_favorite: bool = False) -> GenerationView:
        """Put a frame of a walk into the gallery."""
        return self._frames.keep(self._projects.get(ref).id, key, is_favorite=is_favorite)

    def _place(self, ref: int | str, settings: PlaceSettings) -> Asked:
        project_id, parameters = self._common(ref, settings)
        count = len(self._sampling.coordinates(ref))
        if settings.moved and max(settings.moved) >= count:
            raise InvalidInputError(f"A trait lies in [0, {count - 1}], got {max(settings.moved)}.")
        origin = self._origin(project_id, parameters, "origin", settings.origin)
        parameters |= {"seed": _seed(settings, origin), "origin": origin.said}
        return Asked(project_id, "place", parameters, _files(origin=origin))

    def _common(self, ref: int | str, settings: Denoising) -> tuple[int, dict[str, Any]]:
        """The project's number, and the parameters of every kind of request."""
        project = self._projects.get(ref)
        with self._storage.database.session() as session:
            parts = choose_parts(session, project, settings.use, needs_vae=True)
        default_t0 = DEFAULT_T0["distribution"]
        return project.id, common_parameters(project, settings, parts, default_t0)

    def _origin(self, project_id: int, parameters: dict[str, Any], name: str, told: str) -> Origin:
        return find_origin(self._storage, project_id, parameters["artifacts"]["vae"], name, told)


def _seed(settings: Denoising, origin: Origin) -> int:
    """The noise: what was asked for, or that of the origin, so that a picture begins as itself."""
    if settings.seed is not None:
        return settings.seed
    return DEFAULT_SEED if origin.seed is None else origin.seed


def _files(**origins: Origin) -> dict[str, Path]:
    return {name: origin.file for name, origin in origins.items() if origin.file is not None}
