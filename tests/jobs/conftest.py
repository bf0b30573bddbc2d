import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from dyod_studio.jobs.devices import device_key, host_name
from dyod_studio.jobs.processes import environment
from dyod_studio.jobs.worker import run_worker
from dyod_studio.settings import Settings
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.projects import PictureRepository, ProjectRepository
from dyod_studio.store.records import Job, JobState, Picture, ProcessIdentity
from dyod_studio.store.storage import Storage, open_storage
from tests.jobs.serving import CHILDREN, QUICK

SERVING = Path(__file__).with_name("serving.py")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(storage=tmp_path / "storage", device="cpu")


@pytest.fixture
def storage(settings: Settings) -> Iterator[Storage]:
    with open_storage(settings.storage, settings.resolved_database_url, migrate=True) as opened:
        yield opened


@pytest.fixture
def project_id(storage: Storage) -> int:
    with storage.database.session() as session:
        return ProjectRepository(session).add("chairs", base="starter", token="<chairs>").id


class Queue:
    """What the tests ask of the jobs table, a transaction each."""

    def __init__(self, settings: Settings, storage: Storage, project_id: int) -> None:
        self.settings, self.storage, self.project_id = settings, storage, project_id

    def add(self, kind: str, num_steps: int = 3, **config: Any) -> int:
        with self.storage.database.session() as session:
            return JobRepository(session).add(self.project_id, kind, config, num_steps).id

    def get(self, job_id: int) -> Job:
        with self.storage.database.session() as session:
            return JobRepository(session).get(job_id)

    def cancel(self, job_id: int) -> None:
        with self.storage.database.session() as session:
            JobRepository(session).request_cancel(job_id)

    def claim(self, pid: int | None = None, started_at: float = 0.0) -> int:
        """Leave the oldest job as a worker leaves it that was killed at the worst moment."""
        with self.storage.database.session() as session:
            job = JobRepository(session).claim_next(device_key(self.settings), host_name())
            assert job is not None
            if pid is not None:
                JobRepository(session).set_process(
                    job.id, ProcessIdentity(host_name(), pid, started_at)
                )
            return job.id

    def drain(self) -> int:
        return run_worker(self.settings, drain=True, child_command=CHILDREN, timing=QUICK)

    def change(self, change: Callable[[JobRepository], object]) -> None:
        with self.storage.database.session() as session:
            change(JobRepository(session))

    def wait_for(self, job_id: int, condition: Callable[[Job], object]) -> Job:
        wait_until(lambda: condition(self.get(job_id)))
        return self.get(job_id)

    def wait_for_end(self, job_id: int) -> Job:
        final = {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}
        return self.wait_for(job_id, lambda job: job.state in final)


@pytest.fixture
def queue(settings: Settings, storage: Storage, project_id: int) -> Queue:
    return Queue(settings, storage, project_id)


@pytest.fixture
def start_serving(settings: Settings) -> Iterator[Callable[[object], subprocess.Popen[bytes]]]:
    """Start worker processes; what is left of them and of their children is ended afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def start(argument: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(SERVING), str(argument)]
        started.append(subprocess.Popen(command, env=environment(settings)))
        return started[-1]

    yield start
    for process in started:
        end_all([process.pid])
        process.wait(30)


@pytest.fixture
def innocent() -> Iterator[psutil.Process]:
    """A process that has nothing to do with the studio."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield psutil.Process(process.pid)
        process.kill()


def wait_until(condition: Callable[[], object], timeout_s: float = 150.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.03)


def end_all(pids: list[int]) -> None:
    for pid in pids:
        if psutil.pid_exists(pid):
            process = psutil.Process(pid)
            for member in [*process.children(recursive=True), process]:
                member.kill()


@pytest.fixture(scope="session")
def base_dir(base_folders: dict[str, Path]) -> Path:
    """A tiny base model with the starter's structure and random weights."""
    return base_folders["starter"]


@pytest.fixture(scope="session")
def trained_dir(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage folder whose project has six pictures, an inversion and a VAE, really trained."""
    settings = Settings(storage=tmp_path_factory.mktemp("trained") / "storage", device="cpu")
    with open_storage(settings.storage, settings.resolved_database_url, migrate=True) as storage:
        project_id = add_project_with_pictures(storage, str(base_dir))
        for kind, config in TINY_RUNS.items():
            job = train_here(settings, storage, project_id, kind, config)
            assert job.state is JobState.SUCCEEDED, job.log_tail
    return settings.storage


def train_here(
    settings: Settings, storage: Storage, project_id: int, kind: str, config: dict[str, Any]
) -> Job:
    """What the child process does, in this one: torch is loaded already."""
    from dyod_studio.jobs.child import run_child, train_job

    queue = Queue(settings, storage, project_id)
    job_id = queue.add(kind, config["steps"], **config)
    assert queue.claim() == job_id
    run_child(settings, job_id, train_job)
    return queue.get(job_id)


TINY_RUNS = {
    "inversion": {"steps": 2, "batch_size": 2, "token": "<chairs>", "preview_every": 100},
    "vae": {"steps": 3, "batch_size": 2, "num_coordinates": 4, "width": 4, "preview_every": 100},
}


def add_project_with_pictures(storage: Storage, base: str) -> int:
    """A project of six small coloured squares, as an import leaves it."""
    with storage.files.guard(), storage.database.session() as session:
        project = ProjectRepository(session).add("chairs", base=base, token="<chairs>")
        for number in range(6):
            image = Image.new("RGB", (48, 40), (40 * number, 255 - 40 * number, 128))
            image.paste((255, 255, 255), (4 * number, 6, 4 * number + 14, 30))
            file = io.BytesIO()
            image.save(file, "PNG")
            stored = storage.files.add_bytes(file.getvalue(), ".png")
            thumbnail = storage.files.add_bytes(b"thumbnail %d" % number, ".webp")
            PictureRepository(session).add(
                Picture(
                    project_id=project.id,
                    name=f"{number}.png",
                    sha256=stored.sha256,
                    phash="0",
                    suffix=".png",
                    width=48,
                    height=40,
                    crop_left=4,
                    crop_top=0,
                    crop_side=40,
                    thumbnail_sha256=thumbnail.sha256,
                )
            )
        return project.id
