"""New pictures for a labelled set: k a class, drawn by masked sampling after the class's own.

Sec. 4.3 and Table 2 of "Transferring pretrained diffusion probabilistic models" (ANL).
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dyod_studio.errors import InvalidInputError
from dyod_studio.jobs.augmentation_plan import AugmentationTarget, AugmentedImage, Recipe
from dyod_studio.services.augmentation.folder import AugmentFolder
from dyod_studio.services.augmentation.plan import (
    AugmentSettings,
    Classes,
    Source,
    check_apart,
    check_same,
    classes_in,
    classes_of,
    look_through,
    plan_class,
    recipe_of,
)
from dyod_studio.services.projects import Projects, check_conditionable, choose_parts
from dyod_studio.services.views import ProjectView
from dyod_studio.settings import Settings
from dyod_studio.store.files import SAFETENSORS
from dyod_studio.store.projects import PictureRepository
from dyod_studio.store.records import Artifact
from dyod_studio.store.storage import Storage

OnProgress = Callable[[int, int | None], None]
"""Called with (pictures there are, pictures in all)."""


@dataclass(frozen=True, slots=True)
class AugmentReport:
    """Outcome of an augmentation: ``num_drawn`` now, ``num_kept`` were there already.

    ``left_out``: (name, reason) of pictures of the set that cannot be read.
    """

    folder: Path
    num_classes: int
    num_drawn: int
    num_kept: int
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Work:
    """Everything that was checked before the first picture."""

    project: ProjectView
    parts: Mapping[str, Artifact]
    classes: Classes
    left_out: tuple[tuple[str, str], ...]
    recipe: Mapping[str, Any]
    """What the folder is begun with, and must be the same when it is gone on with."""


class Augmenting:
    """Augmentation of labelled sets, for ``augment``."""

    def __init__(self, storage: Storage, projects: Projects, settings: Settings) -> None:
        self._storage, self._projects, self._settings = storage, projects, settings

    def augment(
        self, ref: int | str, settings: AugmentSettings, on_progress: OnProgress | None = None
    ) -> AugmentReport:
        """Fill ``settings.out`` with k pictures a class, in this process; it may take hours.

        Broken off, it goes on where it was and ends with the very pictures of a call that never
        stopped. More a class than before adds to what is there.

        Raises:
            InvalidInputError: a setting, the set, the folder or the trained parts; nothing has
                been written then.
            NotFoundError: there is no such project.
        """
        out = settings.out.absolute()
        digest = hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]
        lock = FileLock(self._storage.temporary_dir / f"augment-{digest}.lock")
        try:
            with lock.acquire(timeout=0):
                return self._augment(ref, settings, AugmentFolder(out), on_progress)
        except Timeout as exc:
            raise InvalidInputError(f"Another command is filling {str(out)!r} now.") from exc

    def _augment(
        self,
        ref: int | str,
        settings: AugmentSettings,
        folder: AugmentFolder,
        on_progress: OnProgress | None,
    ) -> AugmentReport:
        work = self._prepare(ref, settings, folder)
        folder.begin(work.recipe)
        plan = {name: plan_class(name, work.classes[name], settings) for name in work.classes}
        total = sum(len(targets) for targets in plan.values())
        kept = done = sum(folder.has(one.file) for targets in plan.values() for one, _ in targets)
        sources = {one.file: (name, s) for name, rows in plan.items() for one, s in rows}
        if on_progress:
            on_progress(done, total)
        for drawn in self._draw(work, settings, plan, folder):
            name, source = sources[drawn.target.file]
            row = {
                "class": name,
                "source": source.name,
                "source_sha256": source.sha256,
                "seed": drawn.target.seed,
                "mask_rate": settings.mask_rate,
                "mask": dict(drawn.mask),
            }
            folder.add(drawn.target.file, drawn.png, row)
            done += 1
            if on_progress:
                on_progress(done, total)
        return AugmentReport(folder.root, len(plan), done - kept, kept, work.left_out)

    def _prepare(self, ref: int | str, settings: AugmentSettings, folder: AugmentFolder) -> _Work:
        """Check everything; nothing is written."""
        project = self._projects.get(ref)
        with self._storage.database.session() as session:
            parts = choose_parts(session, project, settings.use)
        check_conditionable(parts)
        check_apart(settings.data, folder.root)
        classes = self._classes(project, settings.data)
        recipe = recipe_of(project, parts, settings)
        begun = folder.settings()
        if begun is not None:
            check_same(begun, recipe, folder.root)
        left_out, digests = look_through(classes, begun or {}, folder.root)
        bad = {name for name, _ in left_out}
        usable = {
            name: tuple(source for source in sources if source.name not in bad)
            for name, sources in classes.items()
        }
        for name, sources in usable.items():
            if not sources:
                raise InvalidInputError(f"No picture of class {name!r} can be read.")
        rows = [list(pair) for pair in left_out]
        return _Work(
            project, parts, usable, left_out, recipe | {"classes": digests, "left_out": rows}
        )

    def _classes(self, project: ProjectView, data: Path | None) -> Classes:
        if data is not None:
            return classes_in(data)
        with self._storage.database.session() as session:
            rows = PictureRepository(session).all(project.id)
            files = self._storage.files
            return classes_of((row, files.path(row.sha256, row.suffix)) for row in rows)

    def _draw(
        self,
        work: _Work,
        settings: AugmentSettings,
        plan: Mapping[str, Sequence[tuple[AugmentationTarget, Source]]],
        folder: AugmentFolder,
    ) -> Iterator[AugmentedImage]:
        """The pictures that lack; loads torch and the models when the first one does."""
        targets = [[one for one, _ in rows] for rows in plan.values()]
        if all(folder.has(one.file) for rows in targets for one in rows):
            return iter(())
        from dyod_studio.jobs.augmentation import draw_all

        recipe = Recipe(
            base=work.project.base,
            parts={
                kind: self._storage.files.path(row.sha256, SAFETENSORS)
                for kind, row in work.parts.items()
            },
            mask_rate=settings.mask_rate,
            strength=settings.strength,
            prompt=settings.prompt,
            num_inference_steps=settings.num_inference_steps,
            guidance_scale=settings.guidance_scale,
        )
        return draw_all(self._settings, recipe, targets, lambda one: folder.has(one.file))
