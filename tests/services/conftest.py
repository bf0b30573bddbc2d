"""A studio on real SQLite and real files, without a sampler."""

import pytest

from dyod_studio.bootstrap import build_studio
from dyod_studio.settings import Settings
from dyod_studio.store.storage import open_storage
from tests.bases import starter_shaped


@pytest.fixture(scope="module")
def base_ref(tmp_path_factory):
    return str(starter_shaped(tmp_path_factory.mktemp("base") / "tiny"))


@pytest.fixture
def settings(tmp_path, base_ref):
    return Settings(storage=tmp_path / "storage", base=base_ref, device="cpu")


@pytest.fixture
def storage(settings):
    with open_storage(settings.storage, settings.resolved_database_url, migrate=True) as storage:
        yield storage


@pytest.fixture
def studio(settings, storage):
    """A studio whose sampler must never be reached: what is asked here is refused before."""

    def refuse(request_id):
        pytest.fail(f"request {request_id} should not have reached the sampler")

    return build_studio(settings, storage, refuse)


@pytest.fixture
def shoes(studio):
    return studio.projects.create("Shoes")
