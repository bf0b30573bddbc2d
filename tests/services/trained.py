"""A project with really trained parts on a tiny base, for what can only be seen in pixels."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw

from dyod_studio.bootstrap import build_studio
from dyod_studio.jobs.sampler import run_request
from dyod_studio.models.artifacts import save_artifact
from dyod_studio.services.studio import Studio
from dyod_studio.settings import Settings
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.files import SAFETENSORS
from dyod_studio.store.storage import Storage, open_storage
from tests.conftest import open_base
from tests.jobs.conftest import TINY_RUNS, add_project_with_pictures, train_here
from tests.models.parts import anl_part


def train_everything(folder: Path, base: Path) -> None:
    """Fill a storage folder: six pictures, an inversion, a VAE, and an ANL that does something."""
    settings = Settings(storage=folder, device="cpu")
    with open_storage(settings.storage, settings.resolved_database_url, migrate=True) as storage:
        project_id = add_project_with_pictures(storage, str(base))
        for kind, config in TINY_RUNS.items():
            train_here(settings, storage, project_id, kind, config)
        part = anl_part(open_base(base))
        path = save_artifact(part, folder / "anl.safetensors")
        with storage.files.guard(), storage.database.session() as session:
            stored = storage.files.add_file(path, SAFETENSORS)
            ArtifactRepository(session).add(
                project_id,
                "anl",
                stored,
                base_fingerprint=part.base_fingerprint,
                config=dict(part.config),
            )


@contextmanager
def opened_studio(folder: Path, copy_of: Path | None = None) -> Iterator[tuple[Studio, Storage]]:
    """A studio that draws in this process, on this folder or on a copy made there."""
    if copy_of is not None:
        shutil.copytree(copy_of, folder)
    settings = Settings(storage=folder, device="cpu")
    with open_storage(settings.storage, settings.resolved_database_url, migrate=True) as storage:
        yield build_studio(settings, storage, partial(run_request, settings, storage)), storage


def draw_sketch(path: Path, colour: str = "teal", side: int = 48) -> Path:
    image = Image.new("RGB", (side, side), "white")
    ImageDraw.Draw(image).ellipse((6, 8, side - 10, side - 6), fill=colour)
    image.save(path)
    return path
