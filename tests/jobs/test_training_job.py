"""A real method on a tiny base, run as the studio runs it."""

import pytest

from dyod_studio.jobs.metrics import read_losses
from dyod_studio.jobs.worker import run_worker
from dyod_studio.models.artifacts import load_artifact
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.store.records import JobState
from tests.jobs.conftest import TINY_RUNS, add_project_with_pictures, train_here


@pytest.mark.slow
def test_the_worker_trains_a_real_method_in_a_process_of_its_own(settings, storage, base_dir):
    project_id = add_project_with_pictures(storage, str(base_dir))
    config = TINY_RUNS["inversion"] | {"preview_every": 2}
    with storage.database.session() as session:
        job_id = JobRepository(session).add(project_id, "inversion", config, 2).id
    assert run_worker(settings, once=True) == 1
    with storage.database.session() as session:
        job = JobRepository(session).get(job_id)
        assert (job.state, job.step, job.error) == (JobState.SUCCEEDED, 2, None), job.log_tail
        (row,) = ArtifactRepository(session).of_job(job_id)
        previews = JobRepository(session).latest_previews(job_id)
    assert all(storage.files.path(preview.sha256, ".png").exists() for preview in previews)
    assert previews
    assert [step for step, _ in read_losses(storage.metrics_path(job_id))] == [1, 2]
    artifact = load_artifact(storage.files.path(row.sha256, ".safetensors"), "inversion")
    assert artifact.base_fingerprint == row.base_fingerprint
    assert artifact.config["token"] == "<chairs>"


def test_a_run_whose_base_is_gone_fails_in_one_sentence(settings, storage):
    project_id = add_project_with_pictures(storage, "no such folder/at all")
    job = train_here(settings, storage, project_id, "vae", TINY_RUNS["vae"])
    assert job.state is JobState.FAILED
    assert "no such folder/at all" in job.error
    assert "\n" not in job.error


def test_a_run_without_pictures_fails_in_one_sentence(settings, storage, base_dir):
    with storage.database.session() as session:
        project = ProjectRepository(session).add("lamps", base=str(base_dir), token="<lamps>")
    job = train_here(settings, storage, project.id, "vae", TINY_RUNS["vae"])
    assert job.error == "This project has no pictures yet: add some first."


def test_a_run_reads_the_word_that_its_prompt_says(settings, storage, base_dir):
    project_id = add_project_with_pictures(storage, str(base_dir))
    inversion = train_here(settings, storage, project_id, "inversion", TINY_RUNS["inversion"])
    with storage.database.session() as session:
        (row,) = ArtifactRepository(session).of_job(inversion.id)
    says = {"steps": 1, "prompt": "a <chairs>", "prompt_dropout": 0}
    losses = []
    for word in (row.sha256, ""):
        job = train_here(settings, storage, project_id, "full-finetune", says | {"word": word})
        assert job.state is JobState.SUCCEEDED, job.error
        losses.append(job.loss)
    assert losses[0] != losses[1]
    gone = train_here(settings, storage, project_id, "full-finetune", says | {"word": "ab" * 32})
    assert gone.state is JobState.FAILED
    assert "not a readable .safetensors file" in gone.error
