"""Everything a person can ask for, as one object with a part for each screen."""

from dataclasses import dataclass

from dyod_studio.studio.doctor import Doctor
from dyod_studio.studio.exports import Exports
from dyod_studio.studio.gallery import Gallery
from dyod_studio.studio.projects import Projects
from dyod_studio.studio.sampling import Sampling
from dyod_studio.studio.training import Training


@dataclass(frozen=True)
class Studio:
    """What the page and the command line call; nothing here knows either."""

    projects: Projects
    training: Training
    sampling: Sampling
    gallery: Gallery
    exports: Exports
    doctor: Doctor
