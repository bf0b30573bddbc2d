"""From a project's rows to what a training method takes: a loaded base and a set of pictures."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache

from dyod_studio.datasets.captions import caption_of
from dyod_studio.datasets.images import Crop
from dyod_studio.models.artifacts import Artifact, load_artifact, save_artifact
from dyod_studio.models.base import BaseModel
from dyod_studio.models.devices import choose_device, dtype_policy
from dyod_studio.models.initial_vae import SetCodes, load_vae
from dyod_studio.models.loading import load_base
from dyod_studio.models.memory import limit_memory
from dyod_studio.models.placeholder import trained_vectors, with_placeholder
from dyod_studio.settings import STARTER_DIR, Settings
from dyod_studio.store.files import SAFETENSORS
from dyod_studio.store.projects import PictureRepository, ProjectRepository
from dyod_studio.store.storage import Storage
from dyod_studio.training.data import TrainingPicture, TrainingSet, returned
from dyod_studio.training.registry import MethodConfig, PromptedConfig
from dyod_studio.training.set_codes import fit_set_codes, posteriors


@lru_cache(maxsize=1)
def load_base_model(settings: Settings, ref: str) -> BaseModel:
    """Load a base model; the last one of this process is kept.

    Raises:
        BaseModelError: it cannot be loaded.
        DeviceError: the card and the installed PyTorch do not fit together.
    """
    device = choose_device(settings.device)
    return load_base(ref, starter_dir=STARTER_DIR, device=device, dtype=dtype_policy(device))


def load_inputs(
    settings: Settings, storage: Storage, project_id: int
) -> tuple[BaseModel, TrainingSet]:
    """The project's base model on its device, and its pictures as they stand now.

    From here on this process takes no more of a card than the settings allow.
    """
    with storage.database.session() as session:
        base_ref = ProjectRepository(session).get(project_id).base
    limit_memory(choose_device(settings.device).type, settings.memory_limit_mb)
    dataset = TrainingSet(_pictures(storage, project_id), storage.cache_dir)
    return load_base_model(settings, base_ref), dataset


def _pictures(storage: Storage, project_id: int) -> list[TrainingPicture]:
    with storage.database.session() as session:
        return [
            TrainingPicture(
                path=storage.files.path(row.sha256, row.suffix),
                crop=Crop(row.crop_left, row.crop_top, row.crop_side),
                sha256=row.sha256,
                caption=caption_of(row.caption, row.name),
            )
            for row in PictureRepository(session).all(project_id)
        ]


def with_codes(
    storage: Storage,
    project_id: int,
    parts: Mapping[str, Artifact],
    artifacts: Mapping[str, str],
    base: BaseModel,
) -> dict[str, Artifact]:
    """The parts, with an initial VAE that knows the codes of its set.

    One trained by an earlier release gets those of the set as it is now; they are found once and
    kept. Without pictures it stays as it is.

    Args:
        artifacts: kind to SHA-256.
    """
    part = parts.get("vae")
    if part is None or SetCodes.find(part) is not None:
        return dict(parts)
    return {**parts, "vae": _with_codes(storage, project_id, part, artifacts["vae"], base)}


def _with_codes(
    storage: Storage, project_id: int, part: Artifact, sha256: str, base: BaseModel
) -> Artifact:
    path = storage.cache_dir / f"codes-{sha256}.safetensors"
    if not path.exists():
        pictures = _pictures(storage, project_id)
        if not pictures:
            return part
        vae = load_vae(part, base)
        dataset = TrainingSet(pictures, storage.cache_dir)
        is_latents = vae.space == "latents"
        side = vae.network.shape.side
        prepared = dataset.prepare_latents(base) if is_latents else dataset.prepare_pixels(side)
        items = returned(prepared)
        captions = [picture.caption for picture in pictures]
        codes = fit_set_codes(*posteriors(vae.network, items, base.device), captions)
        facts = {**part.facts, "captions": list(codes.captions)}
        save_artifact(replace(part, facts=facts, tensors=codes.tensors()), path)
    kept = load_artifact(path, part.kind)
    return replace(kept, tensors={**part.tensors, **kept.tensors})


@contextmanager
def with_learned_token(
    storage: Storage, base: BaseModel, config: MethodConfig
) -> Iterator[BaseModel]:
    """The base model that reads the learned word which a run's prompt says, if it says one.

    Raises:
        InvalidInputError: that inversion is gone.
    """
    if not isinstance(config, PromptedConfig) or not config.word:
        yield base
        return
    part = load_artifact(storage.files.path(config.word, SAFETENSORS), "inversion")
    with with_placeholder(base, part.config["token"], part.tensors["emb_params"]) as knowing_base:
        trained_vectors(knowing_base).requires_grad_(False)
        yield knowing_base
