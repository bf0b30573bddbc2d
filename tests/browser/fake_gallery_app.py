"""Serve the page over a fake studio with four pictures: ``... fake_gallery_app PORT FOLDER``."""

import sys
from pathlib import Path

from dyod_studio.requests.sampling import SampleRequest
from dyod_studio.settings import Settings
from dyod_studio.ui.launch import launch
from tests.ui.fakes import build_fake_studio


def main(port: int, folder: Path) -> None:
    studio = build_fake_studio(folder)
    studio.projects.create("Empty")
    project = studio.projects.create("Toy heads")
    studio.projects.learn(project.id, "inversion", "vae")
    settings = SampleRequest(kind="distribution", num_images=4)
    studio.sampling.sample(project.id, settings)
    launch(studio, Settings(storage=folder, port=port))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
