import subprocess
import sys
import threading
import time

import pytest

from dyod_studio.errors import NotFoundError
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.cleaning import delete_project
from dyod_studio.store.files import PNG, SAFETENSORS, WEBP
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.projects import PictureRepository, ProjectRepository
from dyod_studio.store.records import Generation, Picture
from dyod_studio.store.requests import GenerationRepository, InputFile, SampleRequestRepository
from dyod_studio.store.storage import Storage
from dyod_studio.store.tables import Base


def fill_project(storage: Storage, name: str, own: bytes, shared: bytes) -> int:
    """A project whose every kind of row names a file of its own; one picture is shared."""
    files = storage.files
    with files.guard(), storage.database.session() as session:
        project = ProjectRepository(session).add(name, base="starter", token=f"<{name}>")
        thumbnail = files.add_bytes(own + b"thumbnail", WEBP)
        for data in (own + b"picture", shared):
            stored = files.add_bytes(data, ".jpg")
            PictureRepository(session).add(a_picture(project.id, stored.sha256, thumbnail.sha256))
        job = JobRepository(session).add(project.id, "vae", {}, 3)
        preview = files.add_bytes(own + b"preview", PNG)
        JobRepository(session).set_previews(job.id, 1, [preview.sha256])
        artifact = files.add_bytes(own + b"artifact", SAFETENSORS)
        ArtifactRepository(session).add(
            project.id, "vae", artifact, base_fingerprint="f", config={}, job_id=job.id
        )
        add_generation(storage, session, project.id, own)
    storage.run_dir(job.id).mkdir(parents=True)
    storage.log_path(job.id).write_text("step 1")
    return project.id


def a_picture(project_id: int, sha256: str, thumbnail_sha256: str) -> Picture:
    return Picture(
        project_id=project_id,
        name="a.jpg",
        sha256=sha256,
        phash="0",
        suffix=".jpg",
        width=9,
        height=9,
        crop_left=0,
        crop_top=0,
        crop_side=9,
        thumbnail_sha256=thumbnail_sha256,
    )


def add_generation(storage: Storage, session, project_id: int, own: bytes) -> None:
    sketch = storage.files.add_bytes(own + b"sketch", ".webp")
    request = SampleRequestRepository(session).add(
        project_id,
        "sample",
        {},
        num_steps=1,
        inputs=(InputFile("image", sketch.sha256, ".webp"),),
    )
    image = storage.files.add_bytes(own + b"image", PNG)
    GenerationRepository(session).add(
        Generation(
            project_id=project_id,
            request_id=request.id,
            kind="sample",
            position=0,
            parameters={},
            seed=0,
            sha256=image.sha256,
            thumbnail_sha256=storage.files.add_bytes(own + b"small", WEBP).sha256,
            width=9,
            height=9,
        )
    )


def kept_files(storage: Storage) -> set[bytes]:
    return {path.read_bytes() for path in (storage.root / "files").glob("??/*")}


def test_deleting_a_project_removes_every_row_and_file_it_alone_owns(storage):
    lamps = fill_project(storage, "lamps", b"lamps ", b"shared")
    after_lamps = kept_files(storage)
    chairs = fill_project(storage, "chairs", b"chairs ", b"shared")
    assert len(kept_files(storage)) == 15

    delete_project(storage, chairs)

    assert kept_files(storage) == after_lamps
    assert b"shared" in after_lamps
    assert [path.name for path in (storage.root / "jobs").iterdir()] == ["1"]
    delete_project(storage, lamps)
    assert kept_files(storage) == set()
    with storage.database.engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            assert connection.execute(table.select()).all() == [], table.name


def test_the_same_bytes_under_another_suffix_are_another_file(storage):
    """A picture given as .webp and a thumbnail of the same bytes are told apart from a .jpg."""
    chairs = fill_project(storage, "chairs", b"", b"shared")
    stored = storage.files.add_bytes(b"picture", WEBP)
    other = fill_project(storage, "lamps", b"lamps ", b"x")
    with storage.database.session() as session:
        row = a_picture(other, "elsewhere", stored.sha256)
        PictureRepository(session).add(row)
    delete_project(storage, chairs)
    assert stored.path.exists()
    assert not storage.files.path(stored.sha256, ".jpg").exists()


def test_the_folder_of_a_running_job_is_left_to_its_worker(storage):
    chairs = fill_project(storage, "chairs", b"", b"shared")
    with storage.database.session() as session:
        job = JobRepository(session).claim_next("here/cpu", "here")
    delete_project(storage, chairs)
    assert storage.log_path(job.id).exists()


def test_an_unknown_project_cannot_be_deleted_and_nothing_is_lost(storage):
    fill_project(storage, "chairs", b"", b"shared")
    before = kept_files(storage)
    with pytest.raises(NotFoundError, match="There is no project 9"):
        delete_project(storage, 9)
    assert kept_files(storage) == before


def test_a_file_that_is_being_named_anew_is_not_taken_away_by_a_deletion(storage):
    """One thread adds the shared file to a second project while the first is being deleted."""
    chairs = fill_project(storage, "chairs", b"chairs ", b"shared")
    deletion = threading.Thread(target=delete_project, args=(storage, chairs))
    with storage.files.guard():
        stored = storage.files.add_bytes(b"shared", ".jpg")
        deletion.start()
        time.sleep(0.3)
        with storage.database.session() as session:
            other = ProjectRepository(session).add("lamps", base="starter", token="<lamps>")
            PictureRepository(session).add(a_picture(other.id, stored.sha256, "t"))
    deletion.join(30)
    assert kept_files(storage) == {b"shared"}


def test_the_store_is_imported_without_torch():
    heavy = "{'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    script = f"import sys, dyod_studio.store.cleaning, dyod_studio.store.storage; print({heavy})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
