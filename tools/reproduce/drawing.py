"""Pictures that no sweep makes, drawn with a project's trained parts and measured against a set."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from dyod_studio.datasets.images import centre_crop, prepare, read_image
from dyod_studio.evaluation.measure import Reference, measure
from dyod_studio.evaluation.results import Figures
from dyod_studio.jobs.inputs import load_base_model, with_codes
from dyod_studio.jobs.sampler import load_parts
from dyod_studio.models.base import BaseModel
from dyod_studio.models.customised import SamplingConfig, open_customised
from dyod_studio.models.feature_extractors import open_extractor
from dyod_studio.requests.sampling import Start
from dyod_studio.settings import STARTER_DIR
from dyod_studio.store.artifacts import ArtifactRepository
from tools.reproduce.bench import Bench

AT_ONCE = 16
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def draw(
    bench: Bench,
    project: int,
    kinds: Sequence[str],
    start: Start,
    reverse: SamplingConfig,
    *,
    num: int,
    images: Sequence[Image.Image] = (),
) -> list[Image.Image]:
    """``num`` pictures, seeds from 0; start picture i belongs to seed i, beginning anew."""
    base = load_base_model(bench.settings, "starter")
    made: list[Image.Image] = []
    with ExitStack() as stack, bench.storage.database.session() as session:
        found = [ArtifactRepository(session).latest(project, kind) for kind in kinds]
        rows = [row for row in found if row is not None]
        chosen = {row.kind: row.sha256 for row in rows}
        parts = load_parts(bench.storage, project, chosen)
        parts = with_codes(bench.storage, project, parts, chosen, base)
        model = open_customised(stack, base, parts)
        for first in range(0, num, AT_ONCE):
            seeds = range(first, min(first + AT_ONCE, num))
            starts = [images[seed % len(images)] for seed in seeds] if images else None
            made += model.sample(start, list(seeds), reverse, images=starts)
    return made


def squares(folder: Path, side: int) -> list[Image.Image]:
    """Every picture of a folder as a square."""
    return squares_of([p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES], side)


def squares_of(paths: Sequence[Path], side: int) -> list[Image.Image]:
    """These pictures as squares."""
    images = [read_image(path) for path in paths]
    return [prepare(image, centre_crop(image.size), side) for image in images]


def own_base(bench: Bench) -> BaseModel:
    return load_base_model(bench.settings, "starter")


def compared(
    bench: Bench,
    real: Sequence[Image.Image],
    made: Sequence[Image.Image],
    metrics: Sequence[str],
    text: str = "",
) -> Figures:
    """Figures of made pictures against those of a set, with the base's own CLIP."""
    reference = reference_of(bench, real, text)
    return measure(reference, features_of(reference.extractor.embed, made), metrics)


def reference_of(
    bench: Bench, real: Sequence[Image.Image], text: str = "", extractor_ref: str = "base"
) -> Reference:
    """A set in the eyes of an extractor, by default the base's own CLIP."""
    extractor = open_extractor(extractor_ref, own_base(bench), STARTER_DIR)
    return Reference(extractor, features_of(extractor.embed, real), text)


def features_of(
    embed: Callable[[Sequence[Image.Image]], Tensor], images: Sequence[Image.Image]
) -> Tensor:
    """(N, D) features, a few pictures at a time."""
    chunks = [images[first : first + AT_ONCE] for first in range(0, len(images), AT_ONCE)]
    return torch.cat([embed(chunk) for chunk in chunks])
