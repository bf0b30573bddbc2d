"""Carry out sample requests: load what they name, draw, store the images with all that made them.

Runs in the sampler process of the page, or in the command's own process.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import torch
from PIL import Image
from torch import Tensor

from dyod_studio.datasets.images import centre_crop, prepare, read_image
from dyod_studio.datasets.lines import lines_of
from dyod_studio.diffusion.codes import (
    interpolate,
    interpolate_spherical,
    rank_coordinates,
    spread_codes,
    traverse,
)
from dyod_studio.errors import (
    InvalidInputError,
    JobStateError,
    NotFoundError,
    SampleCancelledError,
    StudioError,
)
from dyod_studio.jobs.images import store_image
from dyod_studio.jobs.inputs import load_base_model, with_codes
from dyod_studio.models.anl import Condition
from dyod_studio.models.artifacts import Artifact, load_artifact
from dyod_studio.models.control import Control, as_hint
from dyod_studio.models.customised import CustomisedModel, OnStep, SamplingConfig, open_customised
from dyod_studio.requests.part_kinds import selectable_kinds
from dyod_studio.requests.sampling import (
    AVERAGE,
    CONTROL,
    IMAGE,
    ORIGIN,
    REGION,
    SEED_PREFIX,
    AnyRequest,
    InterpolationRequest,
    PointRequest,
    SampleRequest,
    TraversalRequest,
    default_t0,
    read_request,
)
from dyod_studio.settings import Settings
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.cleaning import FileName, remove_unreferenced
from dyod_studio.store.database import retry_while_busy
from dyod_studio.store.files import PNG, SAFETENSORS, WEBP
from dyod_studio.store.records import Generation, JobState
from dyod_studio.store.requests import GenerationRepository, InputFile, SampleRequestRepository
from dyod_studio.store.storage import Storage


def draw(model: CustomisedModel, request: AnyRequest, on_step: OnStep) -> list[Image.Image]:
    """The images of one request, in their order."""
    config = _config(request)
    seeds = request.seeds()
    if isinstance(request, SampleRequest):
        inputs = request.inputs
        if CONTROL in inputs:
            config = replace(config, control=_control(model, request))
        images = [_square(inputs[IMAGE], model)] if IMAGE in inputs else None
        region = _region(inputs[REGION]) if REGION in inputs else None
        return model.sample(
            request.kind, seeds, config, images=images, region=region, on_step=on_step
        )
    codes = _codes(model, request, config)
    return model.sample_codes(codes, seeds, config, on_step=on_step)


def _config(request: AnyRequest) -> SamplingConfig:
    """How the reverse process runs for a request."""
    return SamplingConfig(
        t0=default_t0(request.kind, request.base, request.artifacts)
        if request.t0 is None
        else request.t0,
        num_inference_steps=request.num_inference_steps,
        guidance_scale=request.guidance_scale,
        prompt=request.prompt,
        condition=_condition(request),
        codes=request.codes,
        novelty=request.novelty,
        timestep_spacing=request.timestep_spacing,
        sampler=request.sampler,
    )


def _condition(request: AnyRequest) -> Condition | None:
    """Condition that an ANL draws after; None when neither pictures nor a text are given."""
    if not request.conditions and not request.condition_text:
        return None
    return Condition(
        images=[read_image(path) for path in request.conditions],
        texts=[request.condition_text] if request.condition_text else [],
        mask_rate=request.mask_rate,
        text_weight=request.text_weight,
    )


def _control(model: CustomisedModel, request: SampleRequest) -> Control:
    """The lines of a drawing, for all images of a request."""
    lines = lines_of(_square(request.inputs[CONTROL], model))
    if not lines.any():
        raise InvalidInputError("The drawing has no lines: draw some, darker than the rest.")
    return Control(as_hint([lines]), request.control_scale, request.control_until)


def _codes(
    model: CustomisedModel,
    request: InterpolationRequest | TraversalRequest | PointRequest,
    config: SamplingConfig,
) -> Tensor:
    """The code of each frame: (F, d)."""
    if isinstance(request, InterpolationRequest):
        a = _end(model, "a", request.a, request, config)
        b = _end(model, "b", request.b, request, config)
        between = interpolate_spherical if request.is_spherical else interpolate
        codes = between(a, b, request.num_frames)
        return codes if request.frames is None else codes[request.frames]
    assert model.vae is not None  # or nothing of this kind would have been asked for
    ranking = rank_coordinates(model.vae.network.kl)
    if isinstance(request, PointRequest):
        return _points(model, request, config, ranking)
    (code,) = model.draw_codes([request.first_seed()], config)
    return traverse(code, ranking[request.coordinate], request.span, request.num_frames)


def _points(
    model: CustomisedModel, request: PointRequest, config: SamplingConfig, ranking: Sequence[int]
) -> Tensor:
    if request.origin == AVERAGE:
        origin = torch.zeros(1, len(ranking))
    else:
        origin = _end(model, ORIGIN, request.origin, request, config)
    codes = origin.repeat(len(request.places), 1)
    if request.spread:
        codes = spread_codes(codes, model.draw_codes(request.seeds(), config), request.spread)
    for code, point in zip(codes, request.places, strict=True):
        for rank, value in point.items():
            code[ranking[rank]] += value
    return codes


def _end(
    model: CustomisedModel, name: str, ref: str, request: AnyRequest, config: SamplingConfig
) -> Tensor:
    """The code of one end of an interpolation, or of an origin: (1, d)."""
    if name in request.inputs:
        return model.encode_codes([_square(request.inputs[name], model)])
    return model.draw_codes([int(ref.removeprefix(SEED_PREFIX))], config)


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
class ClaimedRequest:
    """A request as it was read from its row; ``files`` are the contents of its inputs."""

    id: int
    project_id: int
    request: AnyRequest
    files: Mapping[str, InputFile]


def run_request(settings: Settings, storage: Storage, request_id: int) -> None:
    """Carry out a queued request; its row says how far it is and how it ended.

    Raises:
        StudioError: why it could not be done, also written into its row.
    """
    request = retry_while_busy(partial(_take, storage, request_id))
    try:
        _carry_out(settings, storage, request)
    except Exception as exc:  # the row must say so, whatever it was; the caller is told too
        _fail(storage, request_id, exc)
        raise


def _take(storage: Storage, request_id: int) -> ClaimedRequest:
    with storage.database.session() as session:
        requests = SampleRequestRepository(session)
        if requests.get(request_id).state is JobState.CANCELLED:
            raise SampleCancelledError(CANCELLED)
        requests.move(request_id, JobState.RUNNING)
        row = requests.get(request_id)
        files = requests.inputs(row.id)
        inputs = {
            name: storage.files.path(file.sha256, file.suffix) for name, file in files.items()
        }
        request = read_request(row.kind, row.parameters, inputs)
        return ClaimedRequest(row.id, row.project_id, request, files)


def _carry_out(settings: Settings, storage: Storage, claimed: ClaimedRequest) -> None:
    request = claimed.request
    base = load_base_model(settings, request.base)
    needed = {*request.needed_parts, *selectable_kinds()}
    chosen = {kind: sha256 for kind, sha256 in request.artifacts.items() if kind in needed}
    parts = load_parts(storage, claimed.project_id, chosen)
    if request.codes != "prior" and "vae" in parts:
        parts = with_codes(storage, claimed.project_id, parts, chosen, base)
    with ExitStack() as stack:
        model = open_customised(stack, base, parts, request.adapter_strength)
        images = draw(model, request, Progress(storage, claimed.id))
        resolved, each = _resolve(model, claimed), _own_values(model, request)
    retry_while_busy(partial(_finish, storage, claimed, images, resolved, each))


def load_parts(
    storage: Storage, project_id: int, artifacts: Mapping[str, str]
) -> dict[str, Artifact]:
    """The project's trained parts by their kinds.

    Args:
        artifacts: kind to SHA-256.

    Raises:
        NotFoundError: the project has no such part.
    """
    with storage.database.session() as session:
        rows = ArtifactRepository(session)
        for sha256 in artifacts.values():
            rows.by_sha256(project_id, sha256)
    return {
        kind: load_artifact(storage.files.path(sha256, SAFETENSORS), kind)
        for kind, sha256 in artifacts.items()
    }


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


def _resolve(model: CustomisedModel, claimed: ClaimedRequest) -> dict[str, Any]:
    """The request's parameters with nothing left open: what makes the same images again."""
    values = claimed.request.to_json()
    base = model.base
    guidance_scale = values["guidance_scale"]
    inputs = {f"{file.name}_sha256": file.sha256 for file in claimed.files.values()}
    return {
        **values,
        **inputs,
        "kind": claimed.request.kind,
        "first_seed": values["seed"],
        "guidance_scale": base.guidance_scale if guidance_scale is None else guidance_scale,
        "prompt": model.prompt_of(SamplingConfig(prompt=values["prompt"])),
        "base_fingerprint": base.fingerprint,
        "device": base.device.type,
        "dtype": str(base.dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }


def _own_values(model: CustomisedModel, request: AnyRequest) -> list[dict[str, Any]]:
    """Seed and prompt of each image."""
    seeds = request.seeds()
    if not isinstance(request, SampleRequest):
        return [{"seed": seed} for seed in seeds]
    prompts = model.prompts(request.kind, seeds, _config(request))
    return [{"seed": s, "prompt": prompt} for s, prompt in zip(seeds, prompts, strict=True)]


def _finish(
    storage: Storage,
    claimed: ClaimedRequest,
    images: list[Image.Image],
    resolved: dict[str, Any],
    each: list[dict[str, Any]],
) -> None:
    """Store the images; then their rows and the end of the request, in one transaction.

    Args:
        resolved: parameters of all images. each: what an image has of its own.
    """
    with storage.files.guard():
        rows = [
            _store(storage, claimed, image, {**resolved, **own, "position": position})
            for position, (image, own) in enumerate(zip(images, each, strict=True))
        ]
        try:
            with storage.database.session() as session:
                SampleRequestRepository(session).move(claimed.id, JobState.SUCCEEDED)
                for row in rows:
                    GenerationRepository(session).add(row)
        except (JobStateError, NotFoundError) as exc:
            names = [FileName(row.sha256, PNG) for row in rows]
            names += [FileName(row.thumbnail_sha256, WEBP) for row in rows]
            remove_unreferenced(storage, names)
            raise SampleCancelledError(CANCELLED) from exc


def _store(
    storage: Storage, claimed: ClaimedRequest, image: Image.Image, parameters: dict[str, Any]
) -> Generation:
    stored = store_image(storage.files, image, parameters)
    return Generation(
        project_id=claimed.project_id,
        request_id=claimed.id,
        kind=claimed.request.kind,
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
