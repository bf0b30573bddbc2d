from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select, text

from dyod_studio.errors import InvalidInputError, JobStateError, NotFoundError
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.files import StoredFile
from dyod_studio.store.projects import PictureRepository, ProjectRepository
from dyod_studio.store.records import Generation, JobState, Picture
from dyod_studio.store.requests import GenerationRepository, InputFile, SampleRequestRepository
from dyod_studio.store.tables import GenerationRow, ProjectRow


@pytest.fixture
def session(database, project_id):
    with database.session() as opened:
        yield opened


def picture(project_id: int, sha256: str) -> Picture:
    return Picture(
        project_id=project_id,
        name=f"{sha256}.png",
        sha256=sha256,
        phash="00ff",
        suffix=".png",
        width=20,
        height=10,
        crop_left=5,
        crop_top=0,
        crop_side=10,
        thumbnail_sha256="t" + sha256,
    )


def generation(project_id: int, request_id: int, position: int) -> Generation:
    return Generation(
        project_id=project_id,
        request_id=request_id,
        kind="sample",
        position=position,
        parameters={"t0": 0.5},
        seed=2**40 + position,
        sha256=f"s{position}",
        thumbnail_sha256=f"t{position}",
        width=8,
        height=8,
    )


def test_a_project_is_found_by_its_name_and_by_its_id(session, project_id):
    projects = ProjectRepository(session)
    numbered = projects.add(str(project_id), base="starter", token="<a>")
    assert projects.find("chairs").id == project_id
    assert projects.find(project_id).name == "chairs"
    assert projects.find(str(project_id)) == numbered
    assert projects.find(str(numbered.id)) == numbered


@pytest.mark.parametrize("ref", ["tables", "99", "١", "9" * 40, "-1", ""])
def test_an_unknown_project_is_named(session, ref):
    with pytest.raises(NotFoundError, match="There is no project"):
        ProjectRepository(session).find(ref)


def test_a_name_is_given_once(session):
    with pytest.raises(InvalidInputError, match="already a project called 'chairs'"):
        ProjectRepository(session).add("chairs", base="starter", token="<b>")


def test_a_time_is_utc_in_the_file_and_aware_in_python(session, project_id):
    summer = timezone(timedelta(hours=2))
    project = session.get(ProjectRow, project_id)
    project.created_at = datetime(2026, 7, 1, 12, tzinfo=summer)
    session.flush()
    session.expire(project)
    assert project.created_at == datetime(2026, 7, 1, 10, tzinfo=UTC)
    kept = session.execute(text("SELECT created_at FROM projects")).scalar_one()
    assert kept.startswith("2026-07-01 10:00:00")


def test_a_state_is_kept_as_its_word(session, project_id):
    SampleRequestRepository(session).add(project_id, "sample", {}, num_steps=1)
    assert session.execute(text("SELECT state FROM sample_requests")).scalar_one() == "queued"


def test_pictures_come_in_pages_in_their_order(session, project_id):
    pictures = PictureRepository(session)
    for sha256 in "abcde":
        pictures.add(picture(project_id, sha256))
    assert [row.sha256 for row in pictures.page(project_id, offset=1, limit=3)] == list("bcd")
    assert pictures.count(project_id) == len(pictures.all(project_id)) == 5
    assert pictures.fingerprints(project_id)[0] == ("a.png", "a", "00ff")
    assert pictures.count(project_id + 1) == 0


def test_bytes_that_two_imports_bring_at_once_are_one_picture(session, project_id):
    pictures = PictureRepository(session)
    first = pictures.add(picture(project_id, "a"))
    assert pictures.add(picture(project_id, "a")) == first
    assert pictures.count(project_id) == 1


def test_a_picture_for_a_project_that_was_deleted_meanwhile_is_refused(session, project_id):
    with pytest.raises(NotFoundError, match="There is no project 9"):
        PictureRepository(session).add(picture(9, "a"))


def test_the_newest_artifact_of_a_kind_is_the_one_in_use(session, project_id, tmp_path):
    artifacts = ArtifactRepository(session)
    assert artifacts.latest(project_id, "vae") is None
    for sha256, kind in [("a", "vae"), ("b", "inversion"), ("c", "vae")]:
        file = StoredFile(sha256, 2**40, tmp_path)
        artifacts.add(project_id, kind, file, base_fingerprint="f", config={"beta": 1.0})
    assert artifacts.latest(project_id, "vae").sha256 == "c"
    assert artifacts.kinds(project_id) == ["inversion", "vae"]
    assert artifacts.by_sha256(project_id, "a").bytes == 2**40
    with pytest.raises(NotFoundError, match="no trained part z"):
        artifacts.by_sha256(project_id, "z")


def test_the_gallery_shows_the_newest_first(session, project_id):
    request = SampleRequestRepository(session).add(project_id, "sample", {}, num_steps=1)
    gallery = GenerationRepository(session)
    for position in range(5):
        gallery.add(generation(project_id, request.id, position))
    assert [row.position for row in gallery.page(project_id, limit=2)] == [4, 3]
    assert [row.position for row in gallery.of_request(request.id)] == [0, 1, 2, 3, 4]
    assert gallery.count(project_id) == 5
    assert session.scalars(select(GenerationRow.seed)).first() == 2**40


def test_a_request_that_was_cancelled_is_told_to_stop_and_stays_cancelled(session, project_id):
    requests = SampleRequestRepository(session)
    inputs = (InputFile("a", "s1", ".jpg"), InputFile("b", "s2", ".png"))
    request_id = requests.add(
        project_id, "interpolation", {"t0": 0.5}, num_steps=9, inputs=inputs
    ).id
    assert requests.inputs(request_id) == {file.name: file for file in inputs}
    requests.move(request_id, JobState.RUNNING)
    assert requests.progress(request_id, 1, 9)
    requests.cancel(request_id)
    assert not requests.progress(request_id, 2, 9)
    with pytest.raises(JobStateError, match="is cancelled; it cannot become succeeded"):
        requests.move(request_id, JobState.SUCCEEDED)
    assert requests.get(request_id).step == 1
