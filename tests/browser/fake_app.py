"""Serve the page over a fake studio: ``python -m tests.browser.fake_app PORT FOLDER``."""

import sys
from collections.abc import Mapping
from pathlib import Path

from dyod_studio.settings import Settings
from dyod_studio.studio.views import JobView
from dyod_studio.ui.launching import launch
from tests.ui.fakes import FakeTraining, build_fake_studio


class StartedAtOnce(FakeTraining):
    """The first run that is queued trains at once and stays where it is; the rest wait."""

    def start(self, ref: int | str, method: str, values: Mapping[str, object]) -> JobView:
        job = super().start(ref, method, values)
        return self.advance(job.id, 300) if job.id == 1 else job


def main(port: int, folder: Path) -> None:
    studio = build_fake_studio(folder)
    studio.training = StartedAtOnce(folder)
    launch(studio, Settings(storage=folder, port=port))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
