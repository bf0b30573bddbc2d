"""Kill the studio's processes at random moments of training and see that nothing is lost.

``python -m tools.kill_campaign --kills 30 --seed 0`` trains inversions and VAEs on the starter
while SIGKILL hits the job's process, a worker or the page's process (the real ``app.py``). Every
run must end succeeded, repeat no more than one checkpoint interval a kill, and give the very bytes
that an undisturbed run gives.
"""

import argparse
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import psutil
from PIL import Image, ImageDraw

from dyod_studio.bootstrap import command_line_studio
from dyod_studio.jobs.metrics import read_rows
from dyod_studio.jobs.processes import environment
from dyod_studio.jobs.worker import run_worker
from dyod_studio.settings import Settings
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.records import NEXT_STATES, Job, JobState
from dyod_studio.store.storage import open_storage

ROOT = Path(__file__).parents[1]
PROJECT = "campaign"
NUM_PICTURES = 8
MAX_JOB_KILLS = 2
"""A run that loses its process a third time is meant to fail."""
KILLS_A_RUN = 3
SPREAD = 0.6
"""The longest that is waited for the next kill, as a share of an undisturbed run."""
RUN_TIMEOUT_S = 1800.0
TARGETS = ("job", "job", "worker", "page")
RUNS: dict[str, dict[str, Any]] = {
    "inversion": {"steps": 30, "batch_size": 2, "checkpoint_every": 6, "preview_every": 30},
    "vae": {"steps": 900, "batch_size": 8, "checkpoint_every": 60, "preview_every": 300},
}


@dataclass(frozen=True, slots=True)
class Baseline:
    """What an undisturbed run gave, and how long it took."""

    sha256: str
    seconds: float


@dataclass
class Run:
    """One run under fire."""

    method: str
    kills: list[str] = field(default_factory=list)
    state: str = ""
    attempts: int = 0
    repeated: list[int] = field(default_factory=list)
    """Steps that were made again, for each time that the run went on from a checkpoint."""
    is_identical: bool = False
    seconds: float = 0.0

    def faults(self, interval: int) -> list[str]:
        """What must not be, a sentence each."""
        found = [] if self.state == "succeeded" else [f"it ended {self.state}"]
        if max(self.repeated, default=0) > interval:
            found.append(f"it repeated {max(self.repeated)} steps")
        return found if self.is_identical else [*found, "its artifact differs"]


class Campaign:
    """A storage folder of its own, a studio that serves it, and somebody who kills."""

    def __init__(
        self,
        root: Path,
        *,
        seed: int = 0,
        base: str = "starter",
        runs: dict[str, dict[str, Any]] | None = None,
        targets: Sequence[str] = TARGETS,
    ) -> None:
        self.settings = Settings(storage=root / "storage", port=free_port(), device="cpu")
        self._random, self._targets, self._bag = random.Random(seed), targets, list[str]()
        self._base, self.runs = base, runs or RUNS
        self._stack = ExitStack()
        url = self.settings.resolved_database_url
        opening = open_storage(self.settings.storage, url, migrate=True)
        self._storage = self._stack.enter_context(opening)
        self._page: subprocess.Popen[bytes] | None = None
        self._project_id = 0

    def prepare(self) -> dict[str, Baseline]:
        """A project with drawn pictures, and every method trained once without disturbance."""
        pictures = draw_pictures(self._storage.root / "drawn")
        with command_line_studio(self.settings) as studio:
            self._project_id = studio.projects.create(PROJECT, self._base).id
            studio.projects.add_pictures(self._project_id, pictures)
        return {method: self._undisturbed(method) for method in self.runs}

    def attack(self, method: str, baseline: Baseline, num_kills: int) -> Run:
        """Train once while up to ``num_kills`` processes are killed."""
        run, started = Run(method), time.monotonic()
        job_id = self._add(method)
        self._wait(job_id, lambda job: job.state is not JobState.QUEUED)
        due = time.monotonic() + self._random.uniform(0, SPREAD * baseline.seconds)
        while (job := self._job(job_id)).state in NEXT_STATES:
            if time.monotonic() - started > RUN_TIMEOUT_S:
                break
            self._serve()
            if len(run.kills) < num_kills and time.monotonic() >= due and self._kill(job, run):
                due = time.monotonic() + self._random.uniform(0.3, SPREAD * baseline.seconds)
            time.sleep(0.05)
        run.seconds = time.monotonic() - started
        return self._judged(run, job_id, baseline)

    def pause_after_steps(self, method: str, num_steps: int) -> int:
        """Begin a run and pause it in the middle; its job."""
        job_id = self._add(method)
        self._wait(job_id, lambda job: job.step >= num_steps)
        with self._storage.database.session() as session:
            JobRepository(session).request_pause(job_id)
        self._wait(job_id, lambda job: job.state is not JobState.RUNNING)
        return job_id

    def resume(self, method: str, job_id: int, baseline: Baseline) -> Run:
        """Let a paused run go on to its end."""
        with self._storage.database.session() as session:
            JobRepository(session).resume(job_id)
        self._wait(job_id, lambda job: job.state not in NEXT_STATES)
        return self._judged(Run(method), job_id, baseline)

    def resume_and_kill(self, method: str, job_id: int, num_steps: int, baseline: Baseline) -> Run:
        """Let a paused run go on, kill its process once, and let it come to its end."""
        run = Run(method)
        with self._storage.database.session() as session:
            JobRepository(session).resume(job_id)
        self._wait(job_id, lambda job: job.step >= num_steps)
        job = self._job(job_id)
        if job.state is JobState.RUNNING and job.pid is not None:
            psutil.Process(job.pid).send_signal(signal.SIGKILL)
            run.kills.append(f"job@{job.step}")
        self._wait(job_id, lambda job: job.state not in NEXT_STATES)
        return self._judged(run, job_id, baseline)

    def _judged(self, run: Run, job_id: int, baseline: Baseline) -> Run:
        """The run with what its row, its metrics and its artifact say."""
        job = self._job(job_id)
        run.state, run.attempts = job.state.value, job.attempts
        rows = read_rows(self._storage.metrics_path(job_id))
        run.repeated = [
            a["step"] - b["step"] + 1 for a, b in pairwise(rows) if b["step"] <= a["step"]
        ]
        run.is_identical = self._artifact(job_id) == baseline.sha256
        return run

    @contextmanager
    def serving(self) -> Iterator[None]:
        """The studio runs; afterwards nothing of it does."""
        self._serve()
        try:
            yield
        finally:
            self.stop()

    def stop(self) -> None:
        """Kill the whole studio: page, workers, jobs, sampler."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self._page is not None:
            self._page.wait(30)
        self._page = None

    def processes(self, module: str = "") -> list[psutil.Process]:
        """Those that work on this storage folder, and run this module."""
        return [p for p in psutil.process_iter() if _serves(p, self._storage.root, module)]

    def close(self) -> None:
        self._stack.close()

    def _serve(self) -> None:
        """Start the page again, as a person would, when it is gone."""
        if self._page is None or self._page.poll() is not None:
            with (self._storage.root / "page.log").open("ab") as log:
                self._page = subprocess.Popen(
                    [sys.executable, "app.py"],
                    cwd=ROOT,
                    env=environment(self.settings),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )

    def _kill(self, job: Job, run: Run) -> bool:
        """Kill the next target of the bag; False when it is not there now, or was hit enough."""
        if not self._bag:
            self._bag = list(self._targets)
            self._random.shuffle(self._bag)
        target = self._bag[-1]
        pids = self._pids_of(target, job)
        if target == "job" and sum(kill.startswith("job") for kill in run.kills) >= MAX_JOB_KILLS:
            self._bag.pop()
            return False
        if not pids:
            return False
        self._bag.pop()
        with suppress(psutil.NoSuchProcess):
            psutil.Process(self._random.choice(pids)).send_signal(signal.SIGKILL)
        run.kills.append(f"{target}@{job.step}")
        return True

    def _pids_of(self, target: str, job: Job) -> list[int]:
        if target == "job":
            return [job.pid] if job.pid is not None and psutil.pid_exists(job.pid) else []
        if target == "worker":
            return [process.pid for process in self.processes("dyod_studio.jobs.worker")]
        return [self._page.pid] if self._page is not None and self._page.poll() is None else []

    def _undisturbed(self, method: str) -> Baseline:
        job_id, started = self._add(method), time.monotonic()
        run_worker(self.settings, drain=True)
        job = self._job(job_id)
        if job.state is not JobState.SUCCEEDED:
            raise SystemExit(f"The undisturbed {method} ended {job.state}: {job.error}")
        return Baseline(self._artifact(job_id), time.monotonic() - started)

    def _add(self, method: str) -> int:
        with command_line_studio(self.settings) as studio:
            return studio.training.start(self._project_id, method, self.runs[method]).id

    def _job(self, job_id: int) -> Job:
        with self._storage.database.session() as session:
            return JobRepository(session).get(job_id)

    def _artifact(self, job_id: int) -> str:
        with self._storage.database.session() as session:
            return ",".join(a.sha256 for a in ArtifactRepository(session).of_job(job_id))

    def _wait(self, job_id: int, condition: Any) -> None:
        deadline = time.monotonic() + RUN_TIMEOUT_S
        while not condition(self._job(job_id)) and time.monotonic() < deadline:
            self._serve()
            time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def draw_pictures(folder: Path) -> list[Path]:
    """A few squares that differ enough for no two to be taken for one."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = random.Random(7)
    paths = []
    for number in range(NUM_PICTURES):
        image = Image.new("RGB", (96, 96), "white")
        pen = ImageDraw.Draw(image)
        for _ in range(6):
            left, top = generator.randrange(70), generator.randrange(70)
            colour = tuple(generator.randrange(256) for _ in range(3))
            pen.rectangle((left, top, left + 24, top + 24), fill=colour)
        paths.append(folder / f"{number}.png")
        image.save(paths[-1])
    return paths


def _serves(process: psutil.Process, root: Path, module: str) -> bool:
    with suppress(psutil.Error):
        is_ours = process.environ().get("DYOD_STORAGE") == str(root)
        return is_ours and module in " ".join(process.cmdline())
    return False


def run_campaign(campaign: Campaign, num_kills: int) -> list[Run]:
    """Train one method after the other until that many processes have been killed."""
    baselines = campaign.prepare()
    runs: list[Run] = []
    with campaign.serving():
        for method in cycle(campaign.runs):
            left = num_kills - sum(len(run.kills) for run in runs)
            if left <= 0:
                break
            runs.append(campaign.attack(method, baselines[method], min(left, KILLS_A_RUN)))
            print(_row(len(runs), runs[-1]), flush=True)
    return runs


def _row(number: int, run: Run) -> str:
    again = ",".join(map(str, run.repeated)) or "-"
    same = "yes" if run.is_identical else "NO"
    kills = " ".join(run.kills) or "-"
    return (
        f"{number:>3}  {run.method:<10} {run.state:<10} {run.attempts:>8} {again:>9} {same:>10} "
        f"{run.seconds:>6.0f} s  {kills}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=30, help="processes to kill in all")
    parser.add_argument("--seed", type=int, default=0, help="decides whom, and roughly when")
    parser.add_argument("--base", default="starter")
    options = parser.parse_args()
    print(" no  method     state      attempts  repeated  identical   time  killed at step")
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        campaign = Campaign(Path(folder), seed=options.seed, base=options.base)
        try:
            runs = run_campaign(campaign, options.kills)
        finally:
            campaign.stop()
            campaign.close()
    intervals = {method: config["checkpoint_every"] for method, config in campaign.runs.items()}
    faults = [
        f"Run {number}: {fault}."
        for number, run in enumerate(runs, start=1)
        for fault in run.faults(intervals[run.method])
    ]
    kills = [kill.partition("@")[0] for run in runs for kill in run.kills]
    counts = ", ".join(f"{kills.count(target)} {target}" for target in sorted(set(kills)))
    print("\n".join(faults) or f"{len(kills)} kills ({counts}) in {len(runs)} runs: nothing lost.")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
