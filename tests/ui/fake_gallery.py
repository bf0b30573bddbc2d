"""A gallery over what the fake sampler made: filtered, marked, binned, packed, brought in."""

import zipfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.models.foreign_headers import read_header, recognise
from dyod_studio.requests.sampling import SampleRequest
from dyod_studio.services.gallery.views import EVERYTHING, GalleryFilter, PartView
from dyod_studio.services.views import ExportReport, GenerationView, Provenance

Made = dict[int, list[GenerationView]]


class FakeGallery:
    """Keeps marks and the bin beside the pictures."""

    def __init__(self, made: Made) -> None:
        self._made = made
        self._favorites: set[tuple[int, int]] = set()
        self._bin: set[tuple[int, int]] = set()

    def _all(self, ref: int, asked: GalleryFilter) -> list[GenerationView]:
        views = []
        for view in self._made.get(ref, [])[::-1]:
            is_favorite = (ref, view.id) in self._favorites
            if ((ref, view.id) in self._bin) != asked.is_deleted:
                continue
            if asked.only_favorites and not is_favorite:
                continue
            if asked.kinds and view.kind not in asked.kinds:
                continue
            if asked.text and asked.text.lower() not in f"{view.parameters} {view.seed}".lower():
                continue
            views.append(replace(view, is_favorite=is_favorite))
        return views

    def page(
        self, ref: int, offset: int = 0, limit: int = 60, asked: GalleryFilter = EVERYTHING
    ) -> list[GenerationView]:
        return self._all(ref, asked)[offset : offset + limit]

    def count(self, ref: int, asked: GalleryFilter = EVERYTHING) -> int:
        return len(self._all(ref, asked))

    def ids(self, ref: int, asked: GalleryFilter = EVERYTHING) -> list[int]:
        return [view.id for view in self._all(ref, asked)]

    def of_ids(self, ref: int, ids: Sequence[int]) -> list[GenerationView]:
        found = {view.id: view for view in self._made.get(ref, [])}
        if not set(ids) <= set(found):
            raise NotFoundError("This project has no such picture.")
        marked = {number for project, number in self._favorites if project == ref}
        return [replace(found[number], is_favorite=number in marked) for number in ids]

    def kinds(self, ref: int) -> list[str]:
        return sorted({view.kind for view in self._made.get(ref, [])})

    def parts(self, ref: int) -> list[PartView]:
        return [PartView("inversion", "a" * 64, None)] if self._made.get(ref) else []

    def favorite(self, generation_id: int, *, is_favorite: bool = True) -> GenerationView:
        (ref,) = [ref for ref, views in self._made.items() if self._has(views, generation_id)][:1]
        self.mark(ref, [generation_id], is_favorite=is_favorite)
        return self.of_ids(ref, [generation_id])[0]

    def mark(self, ref: int, ids: Collection[int], *, is_favorite: bool) -> None:
        keys = {(ref, number) for number in ids}
        self._favorites = self._favorites | keys if is_favorite else self._favorites - keys

    def delete(self, ref: int, ids: Collection[int]) -> None:
        if not ids:
            raise InvalidInputError("Choose at least one picture first.")
        self._bin |= {(ref, number) for number in ids}

    def restore(self, ref: int, ids: Collection[int]) -> None:
        self._bin -= {(ref, number) for number in ids}

    def provenance(self, generation_id: int) -> Provenance:
        ref, view = next(
            (ref, view) for ref, views in self._made.items() for view in views
            if view.id == generation_id
        )  # fmt: skip
        screen: Any = "studio" if view.kind == "image" else "explore"
        request = SampleRequest(
            kind=view.kind, t0=0.35, seed=view.seed, num_images=3, num_inference_steps=20,
            guidance_scale=2.5, prompt="a toy", use=(),
        )  # fmt: skip
        return Provenance(
            ref, request, screen, view.seed, view.id,
            notes=("The sketch is no longer in this storage.",),
        )  # fmt: skip

    @staticmethod
    def _has(views: Sequence[GenerationView], number: int) -> bool:
        return any(view.id == number for view in views)


class FakeExports:
    """Packs the pictures' files."""

    def __init__(self, gallery: FakeGallery) -> None:
        self._gallery = gallery

    def export(
        self, ref: int, what: str, out: Path, ids: Sequence[int] | None = None
    ) -> ExportReport:
        chosen = self._gallery.ids(ref) if ids is None else ids
        files = [view.file for view in self._gallery.of_ids(ref, chosen)]
        if not files:
            raise InvalidInputError("There is nothing to export yet.")
        with zipfile.ZipFile(out, "w") as archive:
            for file in files:
                archive.write(file, file.name)
        return ExportReport(out, len(files), out.stat().st_size)


class FakeImports:
    """A project of the file's name, with nothing in it."""

    def __init__(self, projects: Any) -> None:
        self._projects = projects

    def import_project(
        self, path: Path, *, name: str | None = None, base: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Any:  # fmt: skip
        if not zipfile.is_zipfile(path):
            raise InvalidInputError(f"{path.name} is no readable ZIP archive.")
        if on_progress is not None:
            on_progress(1, 1)
        project = self._projects.create(name or path.stem, base)
        return SimpleNamespace(project=project, num_pictures=0, num_parts=0, num_images=0)


class FakeArtifacts:
    """Tells a part's kind by its keys, and never tries it on a base model."""

    def __init__(self, projects: Any) -> None:
        self._projects = projects

    def import_file(
        self, ref: int | str, path: Path, *, token: str | None = None, title: str | None = None
    ) -> Any:
        kind = recognise(read_header(path))
        self._projects.learn(ref, kind, is_imported=True)
        token = (token or f"<{path.stem}>") if kind == "embedding" else None
        return SimpleNamespace(title=title or path.stem, kind=kind, token=token)


class FakeRecalling:
    """Every PNG says that it was made as the gallery's newest picture was."""

    def __init__(self, gallery: FakeGallery) -> None:
        self._gallery = gallery

    def read(self, path: Path, ref: int | str | None = None) -> Provenance:
        newest = [] if ref is None else self._gallery.ids(int(ref))[:1]
        if not newest:
            raise InvalidInputError(f"{path.name} says nothing of how it was made.")
        return self._gallery.provenance(newest[0])
