"""Run as a script in place of the real child: its work is scripted by the job's kind.

Everything but the work is the studio's own: taking over the row, events, cancellation, the end.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dyod_studio.errors import InvalidInputError
from dyod_studio.jobs.child import run_child
from dyod_studio.jobs.metrics import open_metrics
from dyod_studio.jobs.recorder import Recorder
from dyod_studio.settings import Settings
from dyod_studio.store.records import Job
from dyod_studio.store.storage import Storage
from dyod_studio.training.run import ArtifactReady, PreviewsReady, StepDone


def take_steps(settings: Settings, storage: Storage, job: Job) -> None:
    """``num_steps`` steps of ``step_s`` seconds, a preview at each, an artifact at the end."""
    folder = storage.run_dir(job.id)
    with open_metrics(storage.metrics_path(job.id)) as metrics:
        recorder = Recorder(storage, job.id, metrics, job.owner)
        for step in range(1, job.num_steps + 1):
            time.sleep(job.config.get("step_s", 0.0))
            recorder.record(StepDone(step, job.num_steps, 1 / step, 0.01, 40.0, 7.5))
            preview = folder / f"{step}.png"
            preview.write_bytes(f"{job.project_id} {step}".encode())
            recorder.record(PreviewsReady(step, (preview,)))
        result = folder / "vae.safetensors"
        result.write_bytes(f"weights of project {job.project_id}".encode())
        recorder.record(ArtifactReady("vae", result))
        recorder.succeed("fingerprint")


def be_deaf(settings: Settings, storage: Storage, job: Job) -> None:
    """Never look at the row; a process of its own runs below."""
    below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (storage.run_dir(job.id) / "below.pid").write_text(str(below.pid))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def crash(settings: Settings, storage: Storage, job: Job) -> None:
    print("about to divide")
    raise ZeroDivisionError("no steps per second\nsecond line")


def fall_silent(settings: Settings, storage: Storage, job: Job) -> None:
    """Stand still with a stopped heart, as in a driver that never returns."""
    os.kill(os.getpid(), signal.SIGSTOP)


def refuse(settings: Settings, storage: Storage, job: Job) -> None:
    raise InvalidInputError("This project has no pictures yet: add some first.")


def be_killed(settings: Settings, storage: Storage, job: Job) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def be_killed_once(settings: Settings, storage: Storage, job: Job) -> None:
    marker = Path(job.config["marker"])
    if not marker.exists():
        marker.touch()
        be_killed(settings, storage, job)
    take_steps(settings, storage, job)


def leave(settings: Settings, storage: Storage, job: Job) -> None:
    os._exit(3)


def work_for_seconds(settings: Settings, storage: Storage, job: Job) -> None:
    """Go on while the worker is away; then end like any other."""
    while not Path(job.config["until"]).exists():
        time.sleep(0.05)
    take_steps(settings, storage, job)


def train_toy(settings: Settings, storage: Storage, job: Job) -> None:
    """The real loop, checkpoints and ladder with a toy to learn."""
    from tests.jobs.toy import train_toy as train

    train(settings, storage, job)


WORK: dict[str, Callable[[Settings, Storage, Job], None]] = {
    "steps": take_steps,
    "deaf": be_deaf,
    "crash": crash,
    "refuse": refuse,
    "silent": fall_silent,
    "killed": be_killed,
    "killed once": be_killed_once,
    "leave": leave,
    "toy": train_toy,
    "until": work_for_seconds,
}


def work(settings: Settings, storage: Storage, job: Job) -> None:
    WORK[job.kind](settings, storage, job)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    run_child(Settings(), int(sys.argv[1]), work, beat_s=0.1)
