"""Ask the sampler for pictures: every request is a row first, then pictures."""

import secrets
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import Any

from safetensors import safe_open

from dyod_studio.datasets.reading import read_image
from dyod_studio.errors import InvalidInputError, RejectedImageError
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.files import SAFETENSORS
from dyod_studio.store.generations import GenerationRepository
from dyod_studio.store.requests import InputFile, SampleRequestRepository
from dyod_studio.store.storage import Storage
from dyod_studio.studio.mapping import generation_view
from dyod_studio.studio.projects import Projects
from dyod_studio.studio.requests import (
    DEFAULT_T0,
    Denoising,
    InterpolationSettings,
    SampleSettings,
    SamplingProgress,
    TraversalSettings,
)
from dyod_studio.studio.views import CoordinateView, GenerationView, ProjectView

POLL_S = 0.2
SEED_PREFIX = "seed:"
OnProgress = Callable[[SamplingProgress], None]
RunRequest = Callable[[int], None]
"""Carries out the sample request of this id and returns when it is done."""


class Sampling:
    """What the Studio and Explore screens, ``sample``, ``interpolate`` and ``traverse`` ask for."""

    def __init__(self, storage: Storage, projects: Projects, run_request: RunRequest) -> None:
        self._storage, self._projects, self._run_request = storage, projects, run_request

    def sample(
        self, ref: int | str, settings: SampleSettings, on_progress: OnProgress | None = None
    ) -> list[GenerationView]:
        """New pictures by one of the three initialisations.

        Raises:
            InvalidInputError: a setting, the picture or a missing trained part.
        """
        project = self._projects.get(ref)
        artifacts = self._artifacts(project, needs_vae=settings.start == "distribution")
        parameters = _common(project, settings, artifacts, DEFAULT_T0[settings.start])
        if settings.start == "prompt" and parameters["t0"] != 1:
            raise InvalidInputError(
                f"A start from the prompt alone has t0 = 1, got {parameters['t0']:g}: "
                "start from distribution or image to use another t0."
            )
        parameters["num_images"] = settings.num_images
        inputs = {"image": settings.image} if settings.image else {}
        return self._run(project, settings.start, parameters, inputs, on_progress)

    def interpolate(
        self,
        ref: int | str,
        settings: InterpolationSettings,
        on_progress: OnProgress | None = None,
    ) -> list[GenerationView]:
        """Frames from one end to the other; the noise is the seed's, or free.

        Without a seed, the noise is that of end A when A is a seed: the first frame is then the
        very picture which that seed makes from the distribution.
        """
        project = self._projects.get(ref)
        artifacts = self._artifacts(project, needs_vae=True)
        parameters = _common(project, settings, artifacts, DEFAULT_T0["distribution"])
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
        return self._run(project, "interpolation", parameters, files, on_progress)

    def traverse(
        self, ref: int | str, settings: TraversalSettings, on_progress: OnProgress | None = None
    ) -> list[GenerationView]:
        """Frames in which one coordinate of a seed's code moves, all else fixed."""
        project = self._projects.get(ref)
        artifacts = self._artifacts(project, needs_vae=True)
        count = len(self.coordinates(ref))
        if settings.coordinate >= count:
            raise InvalidInputError(
                f"coordinate must lie in [0, {count - 1}], got {settings.coordinate}."
            )
        parameters = _common(project, settings, artifacts, DEFAULT_T0["distribution"])
        parameters |= {
            "coordinate": settings.coordinate,
            "span": settings.span,
            "num_frames": settings.num_frames,
        }
        return self._run(project, "traversal", parameters, {}, on_progress)

    def coordinates(self, ref: int | str) -> list[CoordinateView]:
        """The coordinates of the trained VAE, the one that tells most apart first."""
        project = self._projects.get(ref)
        sha256 = self._artifacts(project, needs_vae=True)["vae"]
        path = self._storage.files.path(sha256, SAFETENSORS)
        with safe_open(path, framework="numpy") as file:
            kl = [float(value) for value in file.get_tensor("kl")]
        order = sorted(range(len(kl)), key=lambda index: (-kl[index], index))
        return [CoordinateView(rank, index, kl[index]) for rank, index in enumerate(order)]

    def _artifacts(self, project: ProjectView, *, needs_vae: bool) -> dict[str, str]:
        """The newest trained part of each kind, by its hash."""
        with self._storage.database.session() as session:
            repository = ArtifactRepository(session)
            found = {kind: repository.latest(project.id, kind) for kind in ("inversion", "vae")}
        if needs_vae and found["vae"] is None:
            raise InvalidInputError(
                f"Project {project.name!r} has no trained vae yet: train 'vae' first."
            )
        return {kind: row.sha256 for kind, row in found.items() if row is not None}

    def _run(
        self,
        project: ProjectView,
        kind: str,
        parameters: dict[str, Any],
        files: dict[str, Path],
        on_progress: OnProgress | None,
    ) -> list[GenerationView]:
        for path in files.values():
            _check_picture(path)
        store = self._storage.files
        with store.guard(), self._storage.database.session() as session:
            inputs = tuple(
                InputFile(name, stored.sha256, stored.path.suffix)
                for name, path in files.items()
                if (stored := store.add_file(path, path.suffix.lower()))
            )
            row = SampleRequestRepository(session).add(
                project.id,
                kind,
                parameters,
                num_steps=parameters["num_inference_steps"],
                inputs=inputs,
            )
        self._watch(row.id, on_progress)
        with self._storage.database.session() as session:
            rows = GenerationRepository(session).of_request(row.id)
            return [generation_view(self._storage, made) for made in rows]

    def _watch(self, request_id: int, on_progress: OnProgress | None) -> None:
        """Run the request, telling how far it is; its error is raised here."""
        with ThreadPoolExecutor(max_workers=1) as thread:
            running: Future[None] = thread.submit(self._run_request, request_id)
            while not wait_for([running], timeout=POLL_S).done:
                if on_progress:
                    on_progress(self._progress(request_id))
            running.result()

    def _progress(self, request_id: int) -> SamplingProgress:
        with self._storage.database.session() as session:
            row = SampleRequestRepository(session).get(request_id)
            return SamplingProgress(row.step, row.num_steps)


def _common(
    project: ProjectView, settings: Denoising, artifacts: dict[str, str], default_t0: float
) -> dict[str, Any]:
    """The parameters of every kind of request; a seed is drawn when none is given."""
    return {
        "t0": default_t0 if settings.t0 is None else settings.t0,
        "seed": secrets.randbelow(2**31) if settings.seed is None else settings.seed,
        "num_inference_steps": settings.num_inference_steps,
        "guidance_scale": settings.guidance_scale,
        "prompt": settings.prompt or None,
        "artifacts": artifacts,
        "base": project.base,
    }


def _check_picture(path: Path) -> None:
    if not path.is_file():
        raise InvalidInputError(f"There is no picture {str(path)!r}.")
    try:
        read_image(path)
    except RejectedImageError as exc:
        raise InvalidInputError(f"{path.name} {exc}.".replace("..", ".")) from exc
