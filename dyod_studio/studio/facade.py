"""Everything a person can ask for, as one object with a part for each screen."""

from dataclasses import dataclass

from dyod_studio.studio.artifacts import Artifacts
from dyod_studio.studio.augmentation.service import Augmenting
from dyod_studio.studio.doctor import Doctor
from dyod_studio.studio.evaluation.service import Evaluation
from dyod_studio.studio.exchange.exports import Exports
from dyod_studio.studio.exchange.imports import Imports
from dyod_studio.studio.exchange.recalling import Recalling
from dyod_studio.studio.exploring.places import Places
from dyod_studio.studio.exploring.service import Exploring
from dyod_studio.studio.gallery.service import Gallery
from dyod_studio.studio.pictures import Pictures
from dyod_studio.studio.projects import Projects
from dyod_studio.studio.sampling.service import Sampling
from dyod_studio.studio.tokens import Tokens
from dyod_studio.studio.training.service import Training


@dataclass(frozen=True)
class Studio:
    """What the page and the command line call; nothing here knows either."""

    projects: Projects
    pictures: Pictures
    training: Training
    sampling: Sampling
    exploring: Exploring
    places: Places
    gallery: Gallery
    exports: Exports
    imports: Imports
    recalling: Recalling
    doctor: Doctor
    artifacts: Artifacts
    tokens: Tokens
    augmenting: Augmenting
    evaluation: Evaluation
