"""Report on what this machine can run, in sentences with remedies."""

import os
import platform
import shutil
from dataclasses import dataclass

from dyod_studio.errors import BaseModelError, InvalidInputError
from dyod_studio.jobs.one_shot import Run, rare_tokens
from dyod_studio.models.references import check_base_ref
from dyod_studio.services.views import Finding
from dyod_studio.settings import STARTER_DIR, Settings
from dyod_studio.store.storage import Storage

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


MAX_COUNT = 100


@dataclass(frozen=True, slots=True)
class RareTokenView:
    """A name and why it is one.

    ``place`` in the vocabulary: the higher, the rarer in the tokenizer's training text; ``shift``
    is how far the text encoder moves when the name stands before the class noun: the lower, the
    less it means.
    """

    text: str
    place: int
    shift: float


class Tokens:
    """Rare tokens, for ``tokens rare`` and the form of DreamBooth."""

    def __init__(self, settings: Settings, run: Run) -> None:
        self._settings, self._run = settings, run

    def rare(
        self, class_noun: str, base: str | None = None, count: int = 10
    ) -> tuple[RareTokenView, ...]:
        """The best names for a subject of this class, the best first.

        Raises:
            InvalidInputError: the class noun is empty, the count is out of range, or the base
                model has no rare token.
            BaseModelError: there is no such base model.
        """
        if not 1 <= count <= MAX_COUNT:
            raise InvalidInputError(f"count must lie in [1, {MAX_COUNT}], got {count}.")
        if not class_noun.strip():
            raise InvalidInputError(
                f"class_noun must say what the pictures show, such as dog, got {class_noun!r}."
            )
        chosen = base or self._settings.base
        check_base_ref(chosen, STARTER_DIR)
        found = self._run(rare_tokens, self._settings, chosen, class_noun, count)
        return tuple(RareTokenView(*row) for row in found)
