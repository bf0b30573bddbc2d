"""Everything a person can ask for, as one object with a part for each screen."""

from dataclasses import dataclass

from dyod_studio.studio.artifacts import Artifacts
from dyod_studio.studio.augmenting import Augmenting
from dyod_studio.studio.doctor import Doctor
from dyod_studio.studio.evaluation import Evaluation
from dyod_studio.studio.exploring import Exploring
from dyod_studio.studio.exports import Exports
from dyod_studio.studio.gallery import Gallery
from dyod_studio.studio.imports import Imports
from dyod_studio.studio.pictures import Pictures
from dyod_studio.studio.places import Places
from dyod_studio.studio.projects import Projects
from dyod_studio.studio.recalling import Recalling
from dyod_studio.studio.sampling import Sampling
from dyod_studio.studio.tokens import Tokens
from dyod_studio.studio.training import Training


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
