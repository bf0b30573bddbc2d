"""Evaluations that a test moves by hand: the part of the fake Studio behind the Evaluate screen."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from dyod_studio.errors import InvalidInputError
from dyod_studio.evaluation.advice import Advice, advise
from dyod_studio.evaluation.plan import EvaluationConfig, points_of
from dyod_studio.evaluation.results import ExampleImage, Figure, PointResult
from dyod_studio.services.evaluation.summary import summary_of
from dyod_studio.services.evaluation.views import EvaluationSettings, EvaluationView
from dyod_studio.services.views import JobView
from tests.ui.drawing import draw_picture
from tests.ui.fake_training import NOW

DEFAULT_SETTINGS = EvaluationSettings()
KID = {0.2: 9.0, 0.4: 3.0, 0.5: 2.0, 0.6: 2.05, 0.8: 4.0, 1.0: 6.0}


class FakeEvaluation:
    """Keeps what was asked; ``finish`` measures it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.asked: list[EvaluationSettings] = []
        self.views: list[EvaluationView] = []

    def start(self, ref: int | str, settings: EvaluationSettings = DEFAULT_SETTINGS) -> JobView:
        if "nonsense" in settings.extractors:
            raise InvalidInputError("There is no extractor 'nonsense'.")
        self.asked.append(settings)
        config = EvaluationConfig(
            sweep=settings.sweep, values=tuple(KID) if settings.sweep == "t0" else (),
            num=settings.num, artifacts={"inversion": "a", "vae": "b"},
        )  # fmt: skip
        number = 70 + len(self.views)
        total = len(points_of(config)) * config.num
        job = JobView(
            number, int(ref), "evaluation", "queued", 0, total, None, None, None, "", (), (), NOW,
            project="Toy heads", can=("cancel",),
        )  # fmt: skip
        view = EvaluationView(job, config, (), len(points_of(config)), (), None)
        self.views.insert(0, view)
        return job

    def finish(self, num_points: int | None = None) -> None:
        """Measure the newest one, or its first points."""
        view = self.views[0]
        points = [
            self._measured(index, point)
            for index, point in enumerate(points_of(view.config)[:num_points])
        ]
        advice = advise(points) if view.config.sweep == "t0" else None
        self.views[0] = replace(
            view, points=tuple(points), advice=advice,
            summary=summary_of(view.config.sweep, points, advice),
            job=replace(view.job, state="running" if num_points else "succeeded", step=9),
        )  # fmt: skip

    def _measured(self, index: int, point: Any) -> PointResult:
        folder = self._folder / "points" / str(index)
        for seed in range(8):
            draw_picture(folder / f"{seed}.png", 0.1 * index + 0.03 * seed)
        shown = (ExampleImage("0.png", 0, 0.9, "<b>face</b>.png", 1),)
        return PointResult(
            key="", name=point.name, role=point.role, value=point.value, settings={}, num=20,
            num_real=24, calls=20, seconds=0.4,
            figures={
                "CLIP of starter": {
                    "kid": Figure(KID.get(point.value or 0.0, 7.0), 0.2),
                    "diversity": Figure(0.4),
                    "copies": Figure(0.05 if index == 1 else 0.0),
                }
            },
            strip=tuple(f"{seed}.png" for seed in range(8)), best=shown, worst=shown,
            copies=shown if index == 1 else (), folder=folder,
        )  # fmt: skip

    def fail(self) -> None:
        """End the newest one early."""
        job = replace(self.views[0].job, state="failed", error="No space.", can=("retry",))
        self.views[0] = replace(self.views[0], job=job)

    def retry(self, job_id: int) -> JobView:
        view = next(view for view in self.views if view.job.id == job_id)
        job = replace(view.job, id=70 + len(self.views), state="queued", can=("cancel",))
        self.views.insert(0, replace(view, job=job))
        return job

    def all(self, ref: int | str) -> list[EvaluationView]:
        return [view for view in self.views if view.job.project_id == ref]

    def originals(self, view: EvaluationView) -> dict[int, Path]:
        return {1: draw_picture(self._folder / "original.png", 0.5)}

    def advice(self, ref: int | str) -> Advice | None:
        return next((view.advice for view in self.all(ref) if view.advice), None)

    def report(self, job_id: int, folder: Path) -> list[Path]:
        files = [folder / f"evaluation.{suffix}" for suffix in ("html", "pdf", "json")]
        for path in files:
            path.write_text("report")
        return files
