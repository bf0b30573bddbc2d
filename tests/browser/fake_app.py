"""Serve the page over a fake studio: ``python -m tests.browser.fake_app PORT FOLDER``."""

import sys
from collections.abc import Mapping
from pathlib import Path

from dyod_studio.services.views import JobView
from dyod_studio.settings import Settings
from dyod_studio.ui.launch import launch
from tests.ui.fake_training import FakeTraining
from tests.ui.fakes import build_fake_studio


class StartedAtOnce(FakeTraining):
    """The first run that is queued trains at once and stays where it is; the rest wait.

    Thirteen steps fail, as they do in no real method.
    """

    def start(self, ref: int | str, method: str, values: Mapping[str, object]) -> JobView:
        job = super().start(ref, method, values)
        if job.id != 1:
            return job
        self.advance(1, 300)
        if values.get("steps") == 13:
            self.change(1, settings={"steps": 77})
            remedy = "Halve the learning rate, and go on from an earlier state."
            return self.fail(1, "Loss became nan at step 312.", remedy)
        return self.job(1)


def main(port: int, folder: Path) -> None:
    studio = build_fake_studio(folder)
    studio.training = StartedAtOnce(folder)
    launch(studio, Settings(storage=folder, port=port))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
