"""Everything a person can ask for, as one object with a part for each screen."""

from dataclasses import dataclass

from dyod_studio.services.artifacts import Artifacts
from dyod_studio.services.augmentation.service import Augmenting
from dyod_studio.services.captions import Captions
from dyod_studio.services.evaluation.service import Evaluation
from dyod_studio.services.exchange.export import Exports
from dyod_studio.services.exchange.project_import import Imports
from dyod_studio.services.explore.bookmarks import Bookmarks
from dyod_studio.services.explore.service import Explore
from dyod_studio.services.gallery.recreate import Recreation
from dyod_studio.services.gallery.service import Gallery
from dyod_studio.services.machine import Doctor, Tokens
from dyod_studio.services.pictures import Pictures
from dyod_studio.services.projects import Projects
from dyod_studio.services.sampling.service import Sampling
from dyod_studio.services.training.service import Training


@dataclass(frozen=True)
class Studio:
    """Services that the page and the command line call; none of them knows either."""

    projects: Projects
    pictures: Pictures
    captions: Captions
    training: Training
    sampling: Sampling
    explore: Explore
    bookmarks: Bookmarks
    gallery: Gallery
    exports: Exports
    imports: Imports
    recreation: Recreation
    doctor: Doctor
    artifacts: Artifacts
    tokens: Tokens
    augmenting: Augmenting
    evaluation: Evaluation
