"""From a project's rows to what a training method takes: a loaded base and a set of pictures."""

from dyod_studio.datasets.preparing import Crop
from dyod_studio.jobs.bases import load_base_model
from dyod_studio.models.base import BaseModel
from dyod_studio.settings import Settings
from dyod_studio.store.pictures import PictureRepository
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.store.storage import Storage
from dyod_studio.training.data import TrainingPicture, TrainingSet


def load_inputs(
    settings: Settings, storage: Storage, project_id: int
) -> tuple[BaseModel, TrainingSet]:
    """The project's base model on its device, and its pictures as they stand now."""
    with storage.database.session() as session:
        base_ref = ProjectRepository(session).get(project_id).base
        pictures = [
            TrainingPicture(
                path=storage.files.path(row.sha256, row.suffix),
                crop=Crop(row.crop_left, row.crop_top, row.crop_side),
                sha256=row.sha256,
            )
            for row in PictureRepository(session).all(project_id)
        ]
    dataset = TrainingSet(pictures, storage.cache_dir)
    return load_base_model(settings, base_ref), dataset
