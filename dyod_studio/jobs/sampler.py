"""Carry out sample requests: load what they name, draw, store the images with all that made them.

Runs in the sampler process of the page, or in the command's own process.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import diffusers
import torch
from PIL import Image
from torch import Tensor

from dyod_studio.datasets.preparing import centre_crop, prepare
from dyod_studio.datasets.reading import read_image
from dyod_studio.diffusion.codes import (
    interpolate,
    interpolate_spherical,
    rank_coordinates,
    spread_codes,
    traverse,
)
from dyod_studio.errors import JobStateError, NotFoundError, SampleCancelledError, StudioError
from dyod_studio.jobs.images import store_image
from dyod_studio.jobs.inputs import load_base_model
from dyod_studio.models.anl import Condition
from dyod_studio.models.artifacts import Artifact, load_artifact
from dyod_studio.models.compose import open_customised
from dyod_studio.models.customised import CustomisedModel, OnStep, SamplingConfig, Start
from dyod_studio.requests.sampling import (
    AVERAGE,
    CONDITION,
    ORIGIN,
    REGION,
    SEED_PREFIX,
    AnyParameters,
    InterpolationParameters,
    PlaceParameters,
    SampleParameters,
    TraversalParameters,
    read_parameters,
)
from dyod_studio.settings import Settings
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.cleaning import FileName, remove_unreferenced
from dyod_studio.store.files import PNG, SAFETENSORS, WEBP
from dyod_studio.store.generations import GenerationRepository
from dyod_studio.store.requests import InputFile, SampleRequestRepository
from dyod_studio.store.retry import retry_while_busy
from dyod_studio.store.storage import Storage, open_storage
from dyod_studio.store.tables import Generation, JobState


def draw(
    model: CustomisedModel,
    kind: str,
    parameters: AnyParameters,
    files: Mapping[str, Path],
    on_step: OnStep,
) -> list[Image.Image]:
    """The images of one request, in their order.

    Args:
        files: the request's input pictures by their names, see ``parameters``.
    """
    reverse = SamplingConfig(
        t0=parameters.t0,
        num_inference_steps=parameters.num_inference_steps,
        guidance_scale=parameters.guidance_scale,
        prompt=parameters.prompt,
        condition=_condition(parameters, files),
    )
    seeds = parameters.seeds()
    if isinstance(parameters, SampleParameters):
        images = [_square(files["image"], model)] if "image" in files else None
        region = _region(files[REGION]) if REGION in files else None
        return model.sample(
            cast(Start, kind), seeds, reverse, images=images, region=region, on_step=on_step
        )
    codes = _codes(model, parameters, files)
    return model.sample_codes(codes, seeds, reverse, on_step=on_step)


def _condition(parameters: AnyParameters, files: Mapping[str, Path]) -> Condition | None:
    """What an ANL draws after; None when neither pictures nor a text are given."""
    names = [name for name in files if name.startswith(CONDITION)]
    names.sort(key=lambda name: (len(name), name))
    if not names and not parameters.condition_text:
        return None
    return Condition(
        images=[read_image(files[name]) for name in names],
        texts=[parameters.condition_text] if parameters.condition_text else [],
        mask_rate=parameters.mask_rate,
        text_weight=parameters.text_weight,
    )


def _codes(
    model: CustomisedModel,
    parameters: InterpolationParameters | TraversalParameters | PlaceParameters,
    files: Mapping[str, Path],
) -> Tensor:
    """The code of each frame: (F, d)."""
    if isinstance(parameters, InterpolationParameters):
        a = _end(model, "a", parameters.a, files)
        b = _end(model, "b", parameters.b, files)
        between = interpolate_spherical if parameters.is_spherical else interpolate
        codes = between(a, b, parameters.num_frames)
        return codes if parameters.frames is None else codes[parameters.frames]
    assert model.vae is not None  # or nothing of this kind would have been asked for
    ranking = rank_coordinates(model.vae.network.kl)
    if isinstance(parameters, PlaceParameters):
        return _places(model, parameters, files, ranking)
    (code,) = model.draw_codes([parameters.seed])
    coordinate = ranking[parameters.coordinate]
    return traverse(code, coordinate, parameters.span, parameters.num_frames)


def _places(
    model: CustomisedModel,
    parameters: PlaceParameters,
    files: Mapping[str, Path],
    ranking: Sequence[int],
) -> Tensor:
    if parameters.origin == AVERAGE:
        origin = torch.zeros(1, len(ranking))
    else:
        origin = _end(model, ORIGIN, parameters.origin, files)
    codes = origin.repeat(len(parameters.places), 1)
    if parameters.spread:
        codes = spread_codes(codes, model.draw_codes(parameters.seeds()), parameters.spread)
    for code, place in zip(codes, parameters.places, strict=True):
        for rank, value in place.items():
            code[ranking[rank]] += value
    return codes


def _end(model: CustomisedModel, name: str, ref: str, files: Mapping[str, Path]) -> Tensor:
    """The code of one end of an interpolation, or of an origin: (1, d)."""
    if name in files:
        return model.encode_codes([_square(files[name], model)])
    return model.draw_codes([int(ref.removeprefix(SEED_PREFIX))])


def _region(path: Path) -> Image.Image:
    """The middle square of a mask; what is transparent in it is not marked."""
    mask = read_image(path, background=(0, 0, 0))
    return mask.crop(centre_crop(mask.size).box)


def _square(path: Path, model: CustomisedModel) -> Image.Image:
    """A picture's middle at the base model's resolution."""
    image = read_image(path)
    return prepare(image, centre_crop(image.size), model.base.resolution)


WRITE_EVERY_S = 0.1
CANCELLED = "This request was cancelled."


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was read from its row."""

    id: int
    project_id: int
    kind: str
    parameters: AnyParameters
    inputs: Mapping[str, InputFile]


def run_request(settings: Settings, request_id: int) -> None:
    """Carry out a queued request; its row says how far it is and how it ended.

    Raises:
        StudioError: why it could not be done, also written into its row.
    """
    storage = open_storage(settings.storage, settings.resolved_database_url)
    try:
        request = retry_while_busy(partial(_take, storage, request_id))
        try:
            _carry_out(settings, storage, request)
        except Exception as exc:  # the row must say so, whatever it was; the caller is told too
            _fail(storage, request_id, exc)
            raise
    finally:
        storage.close()


def _take(storage: Storage, request_id: int) -> Request:
    with storage.database.session() as session:
        requests = SampleRequestRepository(session)
        if requests.get(request_id).state is JobState.CANCELLED:
            raise SampleCancelledError(CANCELLED)
        requests.move(request_id, JobState.RUNNING)
        row = requests.get(request_id)
        parameters = read_parameters(row.kind, row.parameters)
        return Request(row.id, row.project_id, row.kind, parameters, requests.inputs(row.id))


def _carry_out(settings: Settings, storage: Storage, request: Request) -> None:
    parameters = request.parameters
    base = load_base_model(settings, parameters.base)
    parts = {kind: _load_part(storage, request, kind) for kind in parameters.artifacts}
    files = {
        name: storage.files.path(file.sha256, file.suffix) for name, file in request.inputs.items()
    }
    with ExitStack() as stack:
        model = open_customised(stack, base, parts, parameters.adapter_strength)
        on_step = Progress(storage, request.id)
        images = draw(model, request.kind, parameters, files, on_step)
        resolved = _resolve(model, request)
    retry_while_busy(partial(_finish, storage, request, images, resolved))


def _load_part(storage: Storage, request: Request, kind: str) -> Artifact:
    with storage.database.session() as session:
        sha256 = request.parameters.artifacts[kind]
        row = ArtifactRepository(session).by_sha256(request.project_id, sha256)
        return load_artifact(storage.files.path(row.sha256, SAFETENSORS), kind)


class Progress:
    """Shows each denoiser call in the row, and stops when the request was cancelled."""

    def __init__(self, storage: Storage, request_id: int) -> None:
        self._storage, self._request_id = storage, request_id
        self._last_write = 0.0

    def __call__(self, step: int, num_steps: int) -> None:
        now = time.monotonic()
        if step < num_steps and now - self._last_write < WRITE_EVERY_S:
            return
        self._last_write = now
        with self._storage.database.session() as session:
            requests = SampleRequestRepository(session)
            if not requests.progress(self._request_id, step, num_steps):
                raise SampleCancelledError(CANCELLED)


def _resolve(model: CustomisedModel, request: Request) -> dict[str, Any]:
    """The request's parameters with nothing left open: what makes the same images again."""
    values = request.parameters.model_dump(mode="json")
    base = model.base
    guidance_scale = values["guidance_scale"]
    inputs = {f"{file.name}_sha256": file.sha256 for file in request.inputs.values()}
    return {
        **values,
        **inputs,
        "kind": request.kind,
        "first_seed": values["seed"],
        "guidance_scale": base.guidance_scale if guidance_scale is None else guidance_scale,
        "prompt": model.prompt_of(SamplingConfig(prompt=values["prompt"])),
        "base_fingerprint": base.fingerprint,
        "device": base.device.type,
        "dtype": str(base.dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }


def _finish(
    storage: Storage, request: Request, images: list[Image.Image], resolved: dict[str, Any]
) -> None:
    """Store the images; then their rows and the end of the request, in one transaction."""
    with storage.files.guard():
        rows = [
            _store(storage, request, image, {**resolved, "seed": seed, "position": position})
            for position, (image, seed) in enumerate(
                zip(images, request.parameters.seeds(), strict=True)
            )
        ]
        try:
            with storage.database.session() as session:
                SampleRequestRepository(session).move(request.id, JobState.SUCCEEDED)
                for row in rows:
                    GenerationRepository(session).add(row)
        except (JobStateError, NotFoundError) as exc:
            names = [FileName(row.sha256, PNG) for row in rows]
            names += [FileName(row.thumbnail_sha256, WEBP) for row in rows]
            remove_unreferenced(storage, names)
            raise SampleCancelledError(CANCELLED) from exc


def _store(
    storage: Storage, request: Request, image: Image.Image, parameters: dict[str, Any]
) -> Generation:
    stored = store_image(storage.files, image, parameters)
    return Generation(
        project_id=request.project_id,
        request_id=request.id,
        kind=request.kind,
        position=parameters["position"],
        parameters=parameters,
        seed=parameters["seed"],
        sha256=stored.sha256,
        thumbnail_sha256=stored.thumbnail_sha256,
        width=stored.width,
        height=stored.height,
    )


def _fail(storage: Storage, request_id: int, exc: Exception) -> None:
    """Write the cause into the row, unless it has its end or is gone with its project."""
    error = str(exc) if isinstance(exc, StudioError) else f"{type(exc).__name__}: {exc}"

    def write() -> None:
        with storage.database.session() as session:
            SampleRequestRepository(session).end(request_id, JobState.FAILED, error=error)

    retry_while_busy(write)
