"""A Studio that answers at once, with real files: the seam at which the page is tested."""

import colorsys
import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PIL import Image, ImageDraw

from dyod_studio.datasets.found import DuplicateFile, RejectedFile
from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.studio.requests import (
    InterpolationSettings,
    SampleSettings,
    SamplingProgress,
    TraversalSettings,
)
from dyod_studio.studio.views import (
    ArtifactView,
    CoordinateView,
    ExportReport,
    FieldView,
    GenerationView,
    ImportReport,
    JobView,
    MethodView,
    PictureView,
    ProjectView,
    to_json,
)

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
METHODS = (
    MethodView(
        "inversion",
        "Textual inversion",
        "Learns one word that stands for the whole set.",
        (
            FieldView("steps", "Steps", "Optimiser updates.", "int", 800, 1, 100000, ()),
            FieldView("learning_rate", "Learning rate", "How big a step.", "float", 5e-3, 0, 1, ()),
            FieldView("initializer", "First guess", "A word.", "str", "", None, None, ()),
            FieldView("min_snr", "Weigh the noise", "Min-SNR.", "bool", True, None, None, ()),
        ),
    ),
    MethodView(
        "vae",
        "Initial VAE",
        "Learns the variety of shapes.",
        (
            FieldView("steps", "Steps", "Optimiser updates.", "int", 2000, 1, 100000, ()),
            FieldView(
                "space", "Space", "Where.", "choice", "pixel", None, None, ("pixel", "latent")
            ),
        ),
    ),
)


def draw_picture(path: Path, hue: float, side: int = 128) -> Path:
    """A little face, unlike any other of another hue."""
    colour = tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue % 1, 0.6, 0.9))
    image = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(image)
    pen.ellipse((side // 8, side // 8, side * 7 // 8, side * 7 // 8), fill=colour)
    for x in (0.35, 0.6):
        pen.ellipse((side * x, side * 0.4, side * (x + 0.07), side * 0.5), fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


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
        view = ProjectView(number, name, base or "starter", "<toy>", 0, (), None, NOW)
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

    def learn(self, ref: int, *kinds: str) -> None:
        view = self.get(ref)
        self._views[ref] = replace(view, artifacts=(*view.artifacts, *kinds))

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
        self._views[ref] = replace(self._views[ref], num_pictures=len(pictures))

    def pictures(self, ref: int | str, offset: int = 0, limit: int = 60) -> list[PictureView]:
        return self._pictures[self.get(ref).id][offset : offset + limit]


class FakeTraining:
    """Jobs that a test moves by hand."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.rows: dict[int, JobView] = {}
        self.started: list[tuple[int | str, str, Mapping[str, object]]] = []
        self.curve: list[tuple[int, float]] = [(step, 1 / step) for step in range(1, 400)]

    def methods(self) -> list[MethodView]:
        return list(METHODS)

    def start(self, ref: int | str, method: str, values: Mapping[str, object]) -> JobView:
        if values.get("steps") == 0:
            raise InvalidInputError("steps must be at least 1, got 0.")
        number = len(self.rows) + 1
        self.started.append((ref, method, values))
        self.rows[number] = JobView(
            number, int(ref), method, "queued", 0, 800, None, None, None, "", (), (), NOW
        )
        return self.rows[number]

    def jobs(self, ref: int | str) -> list[JobView]:
        return [job for job in self.rows.values() if job.project_id == ref]

    def job(self, job_id: int) -> JobView:
        return self.rows[job_id]

    def move(self, job_id: int, **values: Any) -> JobView:
        self.rows[job_id] = replace(self.rows[job_id], **values)
        return self.rows[job_id]

    def advance(self, job_id: int, step: int) -> JobView:
        """A running job at ``step``, with four preview pictures."""
        folder = self._folder / "files" / f"job{job_id}"
        paths = [draw_picture(folder / f"{step}-{i}.png", i / 4, 64) for i in range(4)]
        return self.move(
            job_id, state="running", step=step, loss=0.123, seconds_left=125.0,
            previews=tuple(paths),
        )  # fmt: skip

    def cancel(self, job_id: int) -> JobView:
        return self.move(job_id, state="cancelled")

    def losses(self, job_id: int) -> list[tuple[int, float]]:
        return self.curve if self.rows[job_id].step else []


class FakeSampling:
    """Draws faces and keeps what it was asked, and the pixels it was given to start from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.made: dict[int, list[GenerationView]] = {}
        self.asked: list[SampleSettings | InterpolationSettings | TraversalSettings] = []
        self.sketches: list[Image.Image] = []

    def sample(
        self, ref: int | str, settings: SampleSettings,
        on_progress: Callable[[SamplingProgress], None] | None = None,
    ) -> list[GenerationView]:  # fmt: skip
        if settings.image is not None:
            with Image.open(settings.image) as image:
                self.sketches.append(image.copy())
        return self._make(int(ref), settings.start, settings, settings.num_images, on_progress)

    def interpolate(
        self, ref: int | str, settings: InterpolationSettings,
        on_progress: Callable[[SamplingProgress], None] | None = None,
    ) -> list[GenerationView]:  # fmt: skip
        return self._make(int(ref), "interpolation", settings, settings.num_frames, on_progress)

    def traverse(
        self, ref: int | str, settings: TraversalSettings,
        on_progress: Callable[[SamplingProgress], None] | None = None,
    ) -> list[GenerationView]:  # fmt: skip
        return self._make(int(ref), "traversal", settings, settings.num_frames, on_progress)

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
                index, kind, path, path, 100 + position, sha256, to_json(settings), 128, 128,
                created, False,
            )  # fmt: skip
            made.append(view)
            views.append(view)
        return views


def build_fake_studio(folder: Path) -> Any:
    """A whole fake Studio whose files lie under ``folder``."""
    sampling = FakeSampling(folder)

    def page(ref: int, offset: int = 0, limit: int = 60) -> list[GenerationView]:
        return sampling.made.get(ref, [])[::-1][offset : offset + limit]

    def export(ref: int, what: str, out: Path) -> ExportReport:
        files = [view.file for view in sampling.made.get(ref, [])]
        if not files:
            raise InvalidInputError("There is nothing to export yet.")
        with zipfile.ZipFile(out, "w") as archive:
            for file in files:
                archive.write(file, file.name)
        return ExportReport(out, len(files), out.stat().st_size)

    return SimpleNamespace(
        projects=FakeProjects(folder),
        training=FakeTraining(folder),
        sampling=sampling,
        gallery=SimpleNamespace(page=page, count=lambda ref: len(sampling.made.get(ref, []))),
        exports=SimpleNamespace(export=export),
    )


def trained(job: JobView) -> JobView:
    return replace(job, state="succeeded", artifacts=(ArtifactView(job.kind, "ab" * 32, 10),))
