"""A Studio that answers at once, with real files: the seam at which the page is tested."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PIL import Image

from dyod_studio.datasets.captions import tag_frequency
from dyod_studio.datasets.outcomes import DuplicateFile, RejectedFile
from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.requests.cropping import CropMode
from dyod_studio.requests.part_kinds import default_parts
from dyod_studio.requests.sampling import (
    InterpolationRequest,
    SampleRequest,
    SamplingProgress,
    TraversalRequest,
)
from dyod_studio.services.captions import CaptionsView, CaptionView, Edit, edited
from dyod_studio.services.pictures import CheckView, PictureDetails
from dyod_studio.services.sampling.grid import Grid, GridView
from dyod_studio.services.views import (
    CoordinateView,
    GenerationView,
    ImportReport,
    PictureView,
    ProjectView,
)
from tests.ui.drawing import draw_picture
from tests.ui.fake_evaluation import FakeEvaluation
from tests.ui.fake_exploring import FakeExploring, FakePlaces
from tests.ui.fake_gallery import (
    FakeArtifacts,
    FakeExports,
    FakeGallery,
    FakeImports,
    FakeRecalling,
)
from tests.ui.fake_training import FakeTraining

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


class FakeProjects:
    """Keeps projects in memory; a file that is no picture is rejected."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._views: dict[int, ProjectView] = {}
        self._pictures: dict[int, list[PictureView]] = {}

    def create(self, name: str, base: str | None = None) -> ProjectView:
        if not name:
            raise InvalidInputError("Give the project a name.")
        if name in {view.name for view in self._views.values()}:
            raise InvalidInputError(f"There is a project named {name!r} already.")
        number = len(self._views) + 1
        view = ProjectView(number, name, base or "starter", "<toy>", 0, (), (), (), None, NOW)
        self._views[number] = view
        self._pictures[number] = []
        return view

    def all(self) -> list[ProjectView]:
        return list(self._views.values())

    def get(self, ref: int | str) -> ProjectView:
        for view in self._views.values():
            if ref in (view.id, view.name):
                return view
        raise NotFoundError(f"There is no project {ref!r}.")

    def delete(self, ref: int | str) -> None:
        del self._views[self.get(ref).id]

    def learn(self, ref: int | str, *kinds: str, is_imported: bool = False) -> None:
        view = self.get(ref)
        learned = (*view.artifacts, *kinds)
        imported = (*view.imported, *(kinds if is_imported else ()))
        self._views[view.id] = replace(
            view, artifacts=learned, imported=imported,
            default_parts=default_parts(learned, imported),
        )  # fmt: skip

    def add_pictures(
        self,
        ref: int | str,
        paths: Sequence[Path],
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> ImportReport:
        rejected, repeated, good = [], [], []
        known = {view.name for view in self._pictures[self.get(ref).id]}
        for number, path in enumerate(paths, start=1):
            if path.suffix.lower() not in {".png", ".jpg", ".webp"}:
                rejected.append(RejectedFile(path.name, "is not an image"))
            elif path.name in known:
                repeated.append(DuplicateFile(path.name, path.name))
            else:
                good.append(path.name)
            if on_progress is not None:
                on_progress(number, len(paths))
        self._add(self.get(ref).id, good)
        return ImportReport(len(good), tuple(rejected), tuple(repeated))

    def add_examples(self, ref: int | str) -> ImportReport:
        names = [f"face {number}.png" for number in range(24)]
        self._add(self.get(ref).id, names)
        return ImportReport(24, (), ())

    def _add(self, ref: int, names: Sequence[str]) -> None:
        pictures = self._pictures[ref]
        for name in names:
            number = len(pictures) + 1
            path = draw_picture(self._folder / "files" / f"{ref}-{number}.png", number * 0.07)
            pictures.append(PictureView(number, name, path, 128, 128))
        self._views[ref] = replace(
            self._views[ref],
            num_pictures=len(pictures),
            cover=pictures[0].thumbnail if pictures else None,
        )

    def pictures(self, ref: int | str, offset: int = 0, limit: int = 60) -> list[PictureView]:
        return self._pictures[self.get(ref).id][offset : offset + limit]


class FakePictures:
    """Looks a set over: the third picture is blurred."""

    def __init__(self, projects: FakeProjects) -> None:
        self._projects = projects
        self.details: dict[tuple[int, int], PictureDetails] = {}
        self.confirmed: set[int] = set()
        self.crop_mode = CropMode.AUTO

    def get(self, ref: int | str, picture_id: int) -> PictureDetails:
        project = self._projects.get(ref).id
        for view in self._projects.pictures(project, limit=10_000):
            if view.id == picture_id:
                fresh = PictureDetails(
                    view.id, view.name, view.thumbnail, view.thumbnail, 160, 128, 16, 0, 128, "",
                    False,
                )  # fmt: skip
                return self.details.setdefault((project, picture_id), fresh)
        raise NotFoundError(f"There is no picture {picture_id}.")

    def check(self, ref: int | str) -> CheckView:
        project = self._projects.get(ref)
        number = project.num_pictures
        advice = (f"{number} pictures on white: fine for a style.",)
        looked = [self.get(ref, i) for i in range(1, min(number, 3) + 1)]
        aside = tuple(view for view in looked if view.is_left_out)
        soft = tuple(view for view in looked[2:] if not view.is_left_out)
        is_known = project.id in self.confirmed
        return CheckView(number, advice, (), soft, (), aside, is_known, number, self.crop_mode)

    def crop_all(self, ref: int | str, mode: CropMode) -> None:
        self._projects.get(ref)
        self.crop_mode = mode

    def _change(self, ref: int | str, picture_id: int, **values: Any) -> PictureDetails:
        key = (self._projects.get(ref).id, picture_id)
        self.details[key] = replace(self.get(ref, picture_id), **values)
        return self.details[key]

    def leave_out(self, ref: int | str, picture_id: int, *, is_out: bool = True) -> PictureDetails:
        return self._change(ref, picture_id, is_left_out=is_out)

    def crop(
        self, ref: int | str, picture_id: int, *, left: int, top: int, side: int
    ) -> PictureDetails:
        return self._change(ref, picture_id, crop_left=left, crop_top=top, crop_side=side)

    def confirm_rights(self, ref: int | str, *, may_be_used: bool = True) -> None:
        project = self._projects.get(ref).id
        (self.confirmed.add if may_be_used else self.confirmed.discard)(project)


class FakeCaptions:
    """Keeps captions beside the fake pictures."""

    def __init__(self, projects: FakeProjects, pictures: FakePictures) -> None:
        self._projects, self._pictures = projects, pictures

    def all(self, ref: int | str) -> CaptionsView:
        views = self._projects.pictures(ref, limit=10_000)
        details = [self._pictures.get(ref, view.id) for view in views]
        lines = [CaptionView(d.id, d.name, d.caption or "face", bool(d.caption)) for d in details]
        return CaptionsView(tuple(lines), tag_frequency([line.caption for line in lines]))

    def write(self, ref: int | str, texts: Mapping[int, str]) -> int:
        if any(len(text) > 500 for text in texts.values()):
            raise InvalidInputError("A caption has up to 500 characters.")
        for number, text in texts.items():
            self._pictures._change(ref, number, caption=text)
        return len(texts)

    def edit(self, ref: int | str, edit: Edit, words: str = "", by: str = "") -> int:
        lines = self.all(ref).lines
        return self.write(
            ref, {line.picture_id: edited(line.caption, edit, words, by) for line in lines}
        )


class FakeSampling:
    """Draws faces and keeps what it was asked, and the pixels it was given to start from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.made: dict[int, list[GenerationView]] = {}
        self.asked: list[SampleRequest | InterpolationRequest | TraversalRequest] = []
        self.sketches: list[Image.Image] = []
        self.regions: list[Image.Image] = []
        self.stopped: list[str] = []
        self.kept: list[str] = []

    def sample(
        self, ref: int | str, request: SampleRequest,
        on_progress: Callable[[SamplingProgress], None] | None = None,
        *, visitor: str | None = None,
    ) -> list[GenerationView]:  # fmt: skip
        for path, seen in (
            (request.inputs.get("image"), self.sketches),
            (request.inputs.get("region"), self.regions),
        ):
            if path is not None:
                with Image.open(path) as image:
                    seen.append(image.copy())
        return self._make(int(ref), request.kind, request, request.num_images, on_progress)

    def live(
        self, ref: int | str, request: SampleRequest, *, visitor: str
    ) -> GenerationView | None:
        return self.sample(ref, request)[0]

    def keep_live(self, visitor: str) -> None:
        self.kept.append(visitor)

    def cancel(self, visitor: str) -> int:
        self.stopped.append(visitor)
        return 0

    def grid(
        self, ref: int | str, grid: Grid,
        on_progress: Callable[[SamplingProgress], None] | None = None,
        *, visitor: str | None = None,
    ) -> GridView:  # fmt: skip
        cells = grid.cells(grid.request.seed or 0)
        views = [view for cell in cells for view in self.sample(ref, cell, on_progress)]
        return GridView(tuple(views), grid.x, grid.y)

    def palette(self, ref: int | str) -> tuple[str, ...]:
        return ("#203040", "#d0a020", "#ffffff")

    def interpolate(
        self, ref: int | str, request: InterpolationRequest,
        on_progress: Callable[[SamplingProgress], None] | None = None,
        *, visitor: str | None = None,
    ) -> list[GenerationView]:  # fmt: skip
        return self._make(int(ref), "interpolation", request, request.num_frames, on_progress)

    def traverse(
        self, ref: int | str, request: TraversalRequest,
        on_progress: Callable[[SamplingProgress], None] | None = None,
        *, visitor: str | None = None,
    ) -> list[GenerationView]:  # fmt: skip
        return self._make(int(ref), "traversal", request, request.num_frames, on_progress)

    def coordinates(self, ref: int | str) -> list[CoordinateView]:
        return [CoordinateView(rank, 7 - rank, 2.0 / (rank + 1)) for rank in range(4)]

    def _make(
        self, ref: int, kind: str, settings: Any, number: int,
        on_progress: Callable[[SamplingProgress], None] | None,
    ) -> list[GenerationView]:  # fmt: skip
        self.asked.append(settings)
        made = self.made.setdefault(ref, [])
        views = []
        for position in range(number):
            if on_progress is not None:
                on_progress(SamplingProgress(position + 1, number))
            index = len(made) + 1
            path = draw_picture(self._folder / "files" / f"g{ref}-{index}.png", index * 0.11)
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            created = NOW + timedelta(seconds=index)
            view = GenerationView(
                index, kind, path, path, 100 + position, sha256, settings.to_json(), 128, 128,
                created, False,
            )  # fmt: skip
            made.append(view)
            views.append(view)
        return views


def build_fake_studio(folder: Path) -> Any:
    """A whole fake Studio whose files lie under ``folder``."""
    sampling, projects = FakeSampling(folder), FakeProjects(folder)
    exploring = FakeExploring(folder, sampling._make)
    gallery = FakeGallery(sampling.made)
    pictures = FakePictures(projects)
    return SimpleNamespace(
        projects=projects,
        pictures=pictures,
        captions=FakeCaptions(projects, pictures),
        training=FakeTraining(folder),
        sampling=sampling,
        explore=exploring,
        bookmarks=FakePlaces(exploring),
        gallery=gallery,
        exports=FakeExports(gallery),
        imports=FakeImports(projects),
        recreation=FakeRecalling(gallery),
        evaluation=FakeEvaluation(folder),
        artifacts=FakeArtifacts(projects),
    )
