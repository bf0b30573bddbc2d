"""An evaluation's work: make the pictures of each point, measure them, keep what was found.

A point that is measured is a folder in the job's own; a job that goes on begins at the first point
that has none.
"""

import hashlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

import torch

from dyod_studio.datasets.images import Crop, prepare, read_image
from dyod_studio.errors import TrainingCancelledError, TrainingPausedError
from dyod_studio.evaluation.compare import compare_points
from dyod_studio.evaluation.examples import Showcase
from dyod_studio.evaluation.features import (
    AT_ONCE,
    FeatureCache,
    Source,
    features_of,
    keep_features,
)
from dyod_studio.evaluation.measure import Reference, measure, sample_note
from dyod_studio.evaluation.plan import EvaluationConfig, Point, points_of, read_evaluation
from dyod_studio.evaluation.results import (
    Figure,
    PointResult,
    begin_point,
    finish_point,
    point_dir,
    points_dir,
    read_point,
)
from dyod_studio.jobs.inputs import load_inputs, with_codes
from dyod_studio.jobs.metrics import Pace
from dyod_studio.jobs.sampler import load_parts
from dyod_studio.models.anl import Condition
from dyod_studio.models.artifacts import Artifact
from dyod_studio.models.base import BaseModel
from dyod_studio.models.customised import SamplingConfig, open_customised
from dyod_studio.models.feature_extractors import open_extractor
from dyod_studio.settings import STARTER_DIR, Settings
from dyod_studio.store.database import retry_while_busy
from dyod_studio.store.jobs import ControlFlags, JobRepository
from dyod_studio.store.projects import PictureRepository
from dyod_studio.store.records import Job, JobState, Picture
from dyod_studio.store.storage import Storage

LOOK_EVERY_S = 0.5


class SweepProgress:
    """Counts finished pictures; a point that was measured before counts as made."""

    def __init__(self, storage: Storage, job: Job) -> None:
        self._storage, self._job = storage, job
        self._owner = job.owner
        self._pace, self._last_look = Pace(), 0.0
        self.done = 0

    def advance(self, pictures: int) -> None:
        """Show that so many more pictures are made."""
        self.done += pictures
        retry_while_busy(self._show)

    def look(self, *_: object) -> None:
        """Stop when that was asked for; called after every denoiser call, and cheap.

        Raises:
            TrainingCancelledError: the job was cancelled, given to another process, or deleted.
            TrainingPausedError: it was asked to rest; the points that are measured are kept.
        """
        now = time.monotonic()
        if now - self._last_look < LOOK_EVERY_S:
            return
        self._last_look = now
        asked = retry_while_busy(self._asked)
        if asked is None or asked.cancel:
            raise TrainingCancelledError("This evaluation is not wanted any more.")
        if asked.pause:
            raise TrainingPausedError("This evaluation was asked to rest.")

    def note(self, sentences: Sequence[str]) -> None:
        """Say what happened on the way, each once."""
        for sentence in filter(None, sentences):
            retry_while_busy(partial(self._note, sentence))

    def succeed(self) -> None:
        """End the job.

        Raises:
            TrainingCancelledError: it was deleted or given to another process.
        """

        def write() -> None:
            with self._storage.database.session() as session:
                jobs = JobRepository(session)
                if jobs.control_flags(self._job.id, self._owner) is None:
                    raise TrainingCancelledError("This evaluation is another process's now.")
                jobs.move(self._job.id, JobState.SUCCEEDED, owner=self._owner)

        retry_while_busy(write)

    def _show(self) -> None:
        left = self._pace.seconds_left(self.done, self._job.num_steps, time.monotonic())
        with self._storage.database.session() as session:
            JobRepository(session).progress(
                self._job.id, self.done, loss=None, seconds_left=left, owner=self._owner
            )

    def _asked(self) -> ControlFlags | None:
        with self._storage.database.session() as session:
            return JobRepository(session).control_flags(self._job.id, self._owner)

    def _note(self, sentence: str) -> None:
        with self._storage.database.session() as session:
            JobRepository(session).add_note(self._job.id, sentence)


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationRun:
    """All that stays the same from point to point.

    Args:
        real: the set's pictures in their order. references: the set, in the eyes of each extractor.
        key: of everything that a point's figures depend on beside its settings.
    """

    storage: Storage
    job: Job
    config: EvaluationConfig
    base: BaseModel
    pictures: Sequence[Picture]
    real: Sequence[Source]
    references: Sequence[Reference]
    progress: SweepProgress
    key: str


def run_sweep(settings: Settings, storage: Storage, job: Job) -> None:
    """Measure every point that is not measured yet, and end the job's row as succeeded."""
    run = _prepare(settings, storage, job)
    run.progress.note([reference.extractor.note for reference in run.references])
    for index, point in enumerate(points_of(run.config)):
        key = _key_of(run, point)
        found = read_point(point_dir(storage.run_dir(job.id), index))
        if found is not None and found.key == key:
            log.info("Point %d, %s, was measured before.", index + 1, point.name)
            run.progress.advance(run.config.num)
            continue
        log.info("Point %d: %s.", index + 1, point.name)
        _measure_point(run, index, point, key)
    compare_points(storage.run_dir(job.id))
    run.progress.succeed()


def _prepare(settings: Settings, storage: Storage, job: Job) -> EvaluationRun:
    config = read_evaluation(job.config)
    base, _ = load_inputs(settings, storage, job.project_id)
    progress = SweepProgress(storage, job)
    with storage.database.session() as session:
        rows = PictureRepository(session).all(job.project_id)
    real = [_source(storage, row, base.resolution) for row in rows]
    cache = FeatureCache(storage.cache_dir)
    references: list[Reference] = []
    for ref in config.extractors:
        extractor = open_extractor(ref, base, STARTER_DIR)
        if extractor.name not in [known.extractor.name for known in references]:
            features = features_of(real, extractor, cache, progress.look)
            references.append(Reference(extractor, features, config.text))
        else:
            progress.note([extractor.note])
    keep_features(
        points_dir(storage.run_dir(job.id)),
        {reference.extractor.name: reference.features for reference in references},
    )
    text = [
        base.fingerprint,
        sorted(source.key for source in real),
        [reference.extractor.key for reference in references],
        [config.num, config.seed, config.metrics, config.text],
    ]
    return EvaluationRun(
        storage, job, config, base, rows, real, references, progress, json.dumps(text)
    )


def _source(storage: Storage, row: Picture, side: int) -> Source:
    crop = Crop(row.crop_left, row.crop_top, row.crop_side)
    path = storage.files.path(row.sha256, row.suffix)
    return Source(
        f"{row.sha256} {crop.left} {crop.top} {crop.side} {side}",
        lambda: prepare(read_image(path), crop, side),
    )


def _key_of(run: EvaluationRun, point: Point) -> str:
    text = run.key + json.dumps(point.settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _measure_point(run: EvaluationRun, index: int, point: Point, key: str) -> None:
    """Make and measure the pictures of one point; its folder appears when all is done."""
    run_dir, config = run.storage.run_dir(run.job.id), run.config
    first = run.references[0]
    partial = begin_point(run_dir, index)
    show = Showcase(
        partial,
        first.features,
        run.real,
        [row.name for row in run.pictures],
        [row.id for row in run.pictures],
    )
    made: list[list[torch.Tensor]] = [[] for _ in run.references]
    drawing_s = 0.0
    with ExitStack() as stack:
        model = open_customised(stack, run.base, _parts(run, point))
        for begin in range(0, config.num, AT_ONCE):
            places = range(begin, min(begin + AT_ONCE, config.num))
            seeds = [config.seed + place for place in places]
            started = time.perf_counter()
            images = model.sample(
                point.start, seeds, _sampling_config(run, point, places),
                on_step=run.progress.look,
            )  # fmt: skip
            drawing_s += time.perf_counter() - started
            rows = [reference.extractor.embed(images) for reference in run.references]
            for kept, chunk in zip(made, rows, strict=True):
                kept.append(chunk)
            show.add(images, seeds, rows[0])
            run.progress.advance(len(images))
        calls = len(model.timesteps(_sampling_config(run, point, range(0))))
    features = {
        reference.extractor.name: torch.cat(rows)
        for reference, rows in zip(run.references, made, strict=True)
    }
    keep_features(partial, features)
    result = _result(run, point, features, show)
    text = replace(result, key=key, calls=calls, seconds=drawing_s / config.num)
    finish_point(run_dir, index, text)


def _result(
    run: EvaluationRun, point: Point, made: Mapping[str, torch.Tensor], show: Showcase
) -> PointResult:
    config = run.config
    num_real, first = len(run.real), run.references[0]
    notes = [reference.extractor.note for reference in run.references]
    notes.append(sample_note(config.num, num_real, first.features.shape[1]))
    figures = {
        reference.extractor.name: measure(reference, made[reference.extractor.name], config.metrics)
        for reference in run.references
    }
    if "copies" in config.metrics:
        figures[first.extractor.name]["copies"] = Figure(show.num_copies / config.num)
    return PointResult(
        key="",
        name=point.name,
        role=point.role,
        value=point.value,
        settings=point.settings,
        num=config.num,
        num_real=num_real,
        calls=0,
        seconds=0.0,
        figures=figures,
        strip=tuple(show.strip),
        best=show.best,
        worst=show.worst,
        copies=tuple(show.copies),
        notes=tuple(filter(None, notes)),
    )


def _parts(run: EvaluationRun, point: Point) -> dict[str, Artifact]:
    storage, project_id = run.storage, run.job.project_id
    parts = load_parts(storage, project_id, point.parts)
    return with_codes(storage, project_id, parts, point.parts, run.base)


def _sampling_config(run: EvaluationRun, point: Point, places: range) -> SamplingConfig:
    """How the pictures at these places are drawn; each after its own picture of the set."""
    condition = None
    if point.is_conditioned:
        real = run.real
        condition = Condition(
            images=[real[place % len(real)].open() for place in places], mask_rate=point.mask_rate
        )
    return SamplingConfig(
        t0=point.t0,
        num_inference_steps=point.num_inference_steps,
        guidance_scale=point.guidance_scale,
        condition=condition,
        codes=point.codes,
        novelty=point.novelty,
        timestep_spacing=point.timestep_spacing,
        sampler=point.sampler,
    )
