"""From a project's rows to what a training method takes: a loaded base and a set of pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from dyod_studio.datasets.images import Crop
from dyod_studio.models.artifacts import load_artifact
from dyod_studio.models.base import BaseModel
from dyod_studio.models.devices import choose_device, dtype_policy
from dyod_studio.models.loading import load_base
from dyod_studio.models.memory import limit_memory
from dyod_studio.models.placeholder import trained_vectors, with_placeholder
from dyod_studio.settings import STARTER_DIR, Settings
from dyod_studio.store.files import SAFETENSORS
from dyod_studio.store.projects import PictureRepository, ProjectRepository
from dyod_studio.store.storage import Storage
from dyod_studio.training.data import TrainingPicture, TrainingSet
from dyod_studio.training.registry import MethodConfig, PromptedConfig


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
        pictures = [
            TrainingPicture(
                path=storage.files.path(row.sha256, row.suffix),
                crop=Crop(row.crop_left, row.crop_top, row.crop_side),
                sha256=row.sha256,
            )
            for row in PictureRepository(session).all(project_id)
        ]
    limit_memory(choose_device(settings.device).type, settings.memory_limit_mb)
    dataset = TrainingSet(pictures, storage.cache_dir)
    return load_base_model(settings, base_ref), dataset


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
