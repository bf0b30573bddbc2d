"""Serve the page over a fake studio with one trained project: ``... explore_app PORT FOLDER``."""

import sys
from pathlib import Path

from dyod_studio.settings import Settings
from dyod_studio.ui.launch import launch
from tests.ui.fakes import build_fake_studio

if __name__ == "__main__":
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    studio = build_fake_studio(folder)
    project = studio.projects.create("Toy heads")
    studio.projects.add_examples(project.id)
    studio.projects.learn(project.id, "inversion", "vae")
    launch(studio, Settings(storage=folder, port=port))
