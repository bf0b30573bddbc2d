"""The base model of a project on the device that the settings name, kept warm between requests."""

from functools import lru_cache

from dyod_studio.models.base import BaseModel
from dyod_studio.models.devices import choose_device, dtype_policy
from dyod_studio.models.loading import load_base
from dyod_studio.settings import STARTER_DIR, Settings


def load_base_model(settings: Settings, ref: str) -> BaseModel:
    """Load a base model; the last one of this process is kept.

    Raises:
        BaseModelError: it cannot be loaded.
        DeviceError: the card and the installed PyTorch do not fit together.
    """
    return _load(ref, settings.device)


@lru_cache(maxsize=1)
def _load(ref: str, device_setting: str) -> BaseModel:
    device = choose_device(device_setting)
    return load_base(ref, starter_dir=STARTER_DIR, device=device, dtype=dtype_policy(device))
