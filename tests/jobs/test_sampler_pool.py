import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from sqlalchemy import Engine, event

from dyod_studio.errors import NotFoundError, SamplerError
from dyod_studio.jobs.devices import host_name
from dyod_studio.jobs.processes import environment
from dyod_studio.jobs.sampler_pool import SamplerPool, begin, run_in_sampler
from dyod_studio.settings import Settings
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.store.records import JobState, ProcessIdentity
from dyod_studio.store.requests import GenerationRepository, SampleRequestRepository
from dyod_studio.store.storage import open_storage
from tests.jobs.conftest import wait_until


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """One storage folder and one pool for all tests here: each start of a process costs seconds."""
    return Settings(storage=tmp_path_factory.mktemp("pool") / "storage", device="cpu")


@pytest.fixture(scope="module")
def storage(settings):
    with open_storage(settings.storage, settings.resolved_database_url, migrate=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def pool(settings, storage):
    opened = SamplerPool(settings, storage)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def ask(storage, base_dir):
    with storage.database.session() as session:
        project = ProjectRepository(session).add("chairs", base=str(base_dir), token="<c>")

    def queue(num_inference_steps: int = 2, artifacts: dict[str, str] | None = None) -> int:
        parameters = {
            "base": str(base_dir),
            "artifacts": artifacts or {},
            "t0": 1.0,
            "seed": 0,
            "num_inference_steps": num_inference_steps,
            "guidance_scale": None,
            "prompt": "a shoe",
            "num_images": 1,
        }
        with storage.database.session() as session:
            requests = SampleRequestRepository(session)
            return requests.add(project.id, "prompt", parameters, num_steps=2).id

    return queue


@pytest.fixture
def request_row(storage):
    def read(request_id: int):
        with storage.database.session() as session:
            return SampleRequestRepository(session).get(request_id)

    return read


def samplers() -> list[psutil.Process]:
    """The processes below this one that were made to run requests."""
    below = psutil.Process().children(recursive=True)
    return [process for process in below if "spawn_main" in " ".join(process.cmdline())]


@pytest.mark.slow
def test_the_process_stays_warm_and_a_killed_one_is_replaced_at_the_next_request(
    pool, ask, request_row, storage
):
    ids = [ask() for _ in range(3)]
    pool.run(ids[0])
    (first,) = samplers()
    pool.run(ids[1])
    assert samplers() == [first]

    first.kill()
    first.wait(30)
    pool.run(ids[2])

    assert [request_row(request_id).state for request_id in ids] == [JobState.SUCCEEDED] * 3
    assert first not in samplers()
    with storage.database.session() as session:
        made = [GenerationRepository(session).of_request(request_id) for request_id in ids]
    assert len({row.sha256 for rows in made for row in rows}) == 1


@pytest.mark.slow
def test_a_request_whose_process_is_killed_fails_in_one_sentence(pool, ask, request_row):
    doomed = ask(num_inference_steps=900)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(pool.run, doomed)
        wait_until(lambda: request_row(doomed).step > 0)
        for process in samplers():
            process.kill()
        with pytest.raises(SamplerError, match="The sampler process ended unexpectedly"):
            running.result(60)
    row = request_row(doomed)
    assert row.state is JobState.FAILED
    assert row.error.startswith("The sampler process ended unexpectedly")
    later = ask()
    pool.run(later)
    assert request_row(later).state is JobState.SUCCEEDED


def test_an_error_made_for_the_user_comes_through_as_it_is(pool, ask, request_row):
    request_id = ask(artifacts={"inversion": "0" * 64})
    with pytest.raises(NotFoundError, match="no trained part"):
        pool.run(request_id)
    assert request_row(request_id).state is JobState.FAILED


def test_closing_cancels_what_is_in_hand_and_does_not_wait_for_its_end(pool, ask, request_row):
    ids = [ask(num_inference_steps=900), ask(num_inference_steps=900)]
    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(pool.run, ids[0])]
        wait_until(lambda: request_row(ids[0]).step > 0)
        running.append(threads.submit(pool.run, ids[1]))
        wait_until(lambda: len(pool._in_hand) == 2)
        pool.close()
        for future in running:
            with pytest.raises(SamplerError, match="This request was cancelled"):
                future.result(60)
    rows = [request_row(request_id) for request_id in ids]
    assert [row.state for row in rows] == [JobState.CANCELLED] * 2
    assert rows[0].step < 900
    assert samplers() == []


def test_the_sampler_opens_the_database_once_and_no_request_migrates_it(settings, ask):
    ids = [ask() for _ in range(3)]
    opened, statements = [], []

    def note_opening(connection, record):
        opened.append(connection)

    def note_statement(connection, cursor, statement, *rest):
        statements.append(statement)

    event.listen(Engine, "connect", note_opening)
    event.listen(Engine, "before_cursor_execute", note_statement)
    try:
        begin(settings)
        for request_id in ids:
            run_in_sampler(request_id)
    finally:
        event.remove(Engine, "connect", note_opening)
        event.remove(Engine, "before_cursor_execute", note_statement)
    assert len(opened) == 1
    assert len(statements) > 10
    assert [text for text in statements if "IMMEDIATE" in text or "alembic" in text] == []


PAGE = """
import sys, time
from dyod_studio.jobs.sampler_pool import SamplerPool
from dyod_studio.settings import Settings
from dyod_studio.store.storage import open_storage

if __name__ == "__main__":
    settings = Settings()
    with open_storage(settings.storage, settings.resolved_database_url) as storage:
        SamplerPool(settings, storage).run(int(sys.argv[1]))
    heavy = {"torch", "diffusers", "transformers"} & set(sys.modules)
    print(sorted(heavy), flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_the_sampler_ends_when_the_page_is_killed_and_the_page_never_loads_torch(
    ask, settings, tmp_path
):
    script = tmp_path / "page.py"
    script.write_text(PAGE)
    command = [sys.executable, str(script), str(ask())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(settings)) as page:
        assert page.stdout is not None
        assert page.stdout.readline() == b"[]\n"
        below = psutil.Process(page.pid).children(recursive=True)
        assert below
        page.kill()
    _, left = psutil.wait_procs(below, timeout=30)
    assert left == []


def test_requests_that_a_dead_page_left_open_are_closed_and_those_of_the_living_are_not(
    settings, storage, request_row, innocent
):
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    started_at = psutil.Process(dead.pid).create_time()
    dead.wait(60)
    owners = {
        "left queued": ProcessIdentity(host_name(), dead.pid, started_at),
        "left running": ProcessIdentity(host_name(), dead.pid, started_at),
        "of one that had this pid before": ProcessIdentity(host_name(), innocent.pid, 1.0),
        "alive": ProcessIdentity(host_name(), innocent.pid, innocent.create_time()),
        "of another machine": ProcessIdentity("elsewhere", dead.pid, started_at),
        "of nobody": None,
    }
    with storage.database.session() as session:
        requests = SampleRequestRepository(session)
        project = ProjectRepository(session).add("lamps", base="starter", token="<l>")
        ids = {
            name: requests.add(project.id, "prompt", {}, num_steps=2, owner=owner).id
            for name, owner in owners.items()
        }
        requests.move(ids["left running"], JobState.RUNNING)
    SamplerPool(settings, storage).close()
    rows = {name: request_row(request_id) for name, request_id in ids.items()}
    closed = {name for name, row in rows.items() if row.state is JobState.FAILED}
    assert closed == {"left queued", "left running", "of one that had this pid before"}
    assert rows["left running"].error == "The studio ended before this was made; ask for it again."
    with storage.database.session() as session:
        for name in set(rows) - closed:
            SampleRequestRepository(session).cancel(ids[name])
