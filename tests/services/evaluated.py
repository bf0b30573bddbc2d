"""An evaluation as a worker leaves it, without a base model: rows, folders and small pictures."""

from collections.abc import Sequence

from PIL import Image

from dyod_studio.evaluation.plan import points_of, read_evaluation
from dyod_studio.evaluation.results import (
    ExampleImage,
    Figure,
    PointResult,
    begin_point,
    finish_point,
)
from dyod_studio.jobs.devices import host_name
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.projects import PictureRepository
from dyod_studio.store.records import JobState
from dyod_studio.store.storage import Storage

CURVE = {0.2: 9.0, 0.4: 3.0, 0.5: 2.0, 0.6: 2.05, 0.8: 4.0, 1.0: 6.0}
BASELINES = {"prompt": 6.4, "vae": 19.0, "anl": 5.0}


def add_parts(storage: Storage, project_id: int, *kinds: str, variant: str = "x") -> list[str]:
    """Trained parts of these kinds, as rows with a file; returns their SHA-256."""
    names = []
    with storage.files.guard(), storage.database.session() as session:
        for kind in kinds:
            stored = storage.files.add_bytes(f"{kind} {variant}".encode(), ".safetensors")
            config = {"token": "<toy>", "variant": variant}
            ArtifactRepository(session).add(
                project_id, kind, stored, base_fingerprint="b", config=config
            )
            names.append(stored.sha256)
    return names


def measured(
    storage: Storage, job_id: int, *, num_points: int | None = None, copies: Sequence[int] = ()
) -> None:
    """Give a queued evaluation points as if they were measured, and its end when all are."""
    with storage.database.session() as session:
        jobs = JobRepository(session)
        jobs.claim_next("cpu", host_name())
        job = jobs.get(job_id)
        config = read_evaluation(job.config)
        rows = PictureRepository(session).all(job.project_id)
        original = rows[0].id if rows else None
    points = points_of(config)
    for index, point in enumerate(points[:num_points]):
        folder = begin_point(storage.run_dir(job_id), index)
        for seed in range(4):
            Image.new("RGB", (32, 32), (20 * index, 60 * seed, 90)).save(folder / f"{seed}.png")
        shown = tuple(
            ExampleImage(f"{seed}.png", seed, 0.5, "0.png", original) for seed in range(2)
        )
        mean = BASELINES.get(point.role) or CURVE.get(point.value or 0.5, 5.0)
        found = shown if index in copies else ()
        result = PointResult(
            key="", name=point.name, role=point.role, value=point.value, settings=point.settings,
            num=config.num, num_real=12, calls=round(50 * point.t0), seconds=0.5,
            figures={
                "CLIP of starter": {
                    "kid": Figure(mean, 0.2),
                    "diversity": Figure(0.3),
                    "copies": Figure(len(found) / config.num),
                }
            },
            strip=("0.png", "1.png"), best=shown, worst=shown, copies=found,
            notes=("Few pictures.",),
        )  # fmt: skip
        finish_point(storage.run_dir(job_id), index, result)
    if num_points is None:
        with storage.database.session() as session:
            JobRepository(session).move(job_id, JobState.SUCCEEDED)
