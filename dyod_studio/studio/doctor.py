"""What this machine can run, in sentences with remedies."""

import os
import platform
import shutil

from dyod_studio.errors import BaseModelError
from dyod_studio.models.references import check_base_ref
from dyod_studio.settings import STARTER_DIR, Settings
from dyod_studio.store.storage import Storage
from dyod_studio.studio.views import Finding

ENOUGH_DISK_GB = 2


class Doctor:
    """Looks at Python, PyTorch, the card, the storage folder and the base model."""

    def __init__(self, storage: Storage, settings: Settings) -> None:
        self._storage, self._settings = storage, settings

    def report(self) -> list[Finding]:
        from dyod_studio.models.devices import check_device

        device = [
            Finding(row.name, row.is_ok, row.detail, row.remedy)
            for row in check_device(self._settings.device)
        ]
        return [self._python(), *device, self._storage_folder(), self._disk(), self._base()]

    def _python(self) -> Finding:
        return Finding("Python", True, platform.python_version(), "")

    def _storage_folder(self) -> Finding:
        is_writable = os.access(self._storage.root, os.W_OK)
        remedy = "" if is_writable else "Choose a folder you may write to with --storage."
        return Finding("Storage", is_writable, str(self._storage.root), remedy)

    def _disk(self) -> Finding:
        free_gb = shutil.disk_usage(self._storage.root).free / 1e9
        is_enough = free_gb >= ENOUGH_DISK_GB
        remedy = "" if is_enough else f"Make room: {ENOUGH_DISK_GB} GB are needed."
        return Finding("Free disk", is_enough, f"{free_gb:.1f} GB", remedy)

    def _base(self) -> Finding:
        try:
            check_base_ref(self._settings.base, STARTER_DIR)
        except BaseModelError as exc:
            return Finding("Base model", False, self._settings.base, str(exc))
        return Finding("Base model", True, self._settings.base, "")
