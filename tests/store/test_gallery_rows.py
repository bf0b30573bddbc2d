"""The gallery's rows: found by whatever is remembered of them, binned and brought back."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from alembic.config import Config

from dyod_studio.errors import NotFoundError
from dyod_studio.store.database import SCRIPTS_DIR, Database
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.store.records import Generation
from dyod_studio.store.requests import GalleryQuery, GenerationRepository, SampleRequestRepository

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)
STYLE, SHAPES = "a" * 64, "b" * 64


@pytest.fixture
def session(storage):
    """Eight images a day apart: every other from a sketch, the last four with a second part."""
    with storage.database.session() as session:
        project = ProjectRepository(session).add("heads", base="starter", token="<heads>")
        request = SampleRequestRepository(session).add(project.id, "prompt", {}, num_steps=1)
        for day in range(8):
            parts = {"inversion": STYLE} if day < 4 else {"inversion": STYLE, "vae": SHAPES}
            said = {"prompt": f"Ein Kopf 100%_{day} ÖL", "artifacts": parts}
            GenerationRepository(session).add(an_image(project.id, request.id, day, said))
        yield session


def an_image(project_id: int, request_id: int, day: int, parameters: dict) -> Generation:
    return Generation(
        project_id=project_id,
        request_id=request_id,
        kind=("image", "prompt")[day % 2],
        position=0,
        parameters=parameters,
        seed=7000 + day,
        sha256=f"{day:064x}",
        thumbnail_sha256="0",
        width=9,
        height=9,
        created_at=DAY + timedelta(days=day),
    )


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (GalleryQuery(), [8, 7, 6, 5, 4, 3, 2, 1]),
        (GalleryQuery(kinds=("image",)), [7, 5, 3, 1]),
        (GalleryQuery(part=SHAPES), [8, 7, 6, 5]),
        (GalleryQuery(part="c" * 64), []),
        (GalleryQuery(since=DAY + timedelta(days=2), until=DAY + timedelta(days=4)), [4, 3]),
        (GalleryQuery(text="öl"), [8, 7, 6, 5, 4, 3, 2, 1]),
        (GalleryQuery(text=" KOPF 100%_3 "), [4]),
        (GalleryQuery(text="100__"), []),
        (GalleryQuery(text="7005"), [6]),
        (GalleryQuery(text="9" * 30), []),
        (GalleryQuery(only_favorites=True), []),
        (GalleryQuery(kinds=("image",), part=SHAPES, text="kopf"), [7, 5]),
    ],
)
def test_an_image_is_found_by_whatever_is_remembered_of_it(session, query, ids):
    images = GenerationRepository(session)
    assert [row.id for row in images.page(1, query=query)] == ids
    assert images.count(1, query) == len(ids)
    assert images.ids(1, offset=1, limit=2, query=query) == ids[1:3]


def test_what_lies_in_the_bin_is_seen_there_alone_and_comes_back_as_it_was(session):
    images = GenerationRepository(session)
    images.set_favorite(1, [3], is_favorite=True)
    images.set_deleted(1, [3, 4], is_deleted=True)
    assert images.ids(1, query=GalleryQuery(is_deleted=True)) == [4, 3]
    assert images.count(1) == 6
    images.set_deleted(1, [3, 4], is_deleted=False)
    assert images.ids(1, query=GalleryQuery(only_favorites=True)) == [3]
    assert images.count(1) == 8


def test_nothing_is_changed_where_one_of_the_images_is_not_there(session):
    images = GenerationRepository(session)
    with pytest.raises(NotFoundError, match="no generated image 99"):
        images.set_deleted(1, [3, 99], is_deleted=True)
    with pytest.raises(NotFoundError, match="no generated image 3"):
        images.set_favorite(2, [3], is_favorite=True)
    assert images.count(1) == 8


def test_a_search_reads_the_index_alone(session):
    query = GalleryQuery(text="kopf", kinds=("image",), only_favorites=True)
    statements: list[str] = []
    session.connection().connection.driver_connection.set_trace_callback(statements.append)
    GenerationRepository(session).count(1, query)
    ids = GenerationRepository(session).ids(1, limit=60, query=query)
    session.connection().connection.driver_connection.set_trace_callback(None)
    assert ids == []
    for statement in statements:
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").all()
        assert [row for row in plan if "USING COVERING INDEX ix_generations_gallery" in row[3]]
        assert not [row for row in plan if "TEMP B-TREE" in row[3]]


def test_images_of_an_earlier_release_can_be_searched_as_well(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'studio.db'}")
    with database.engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(SCRIPTS_DIR))
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    said = json.dumps({"prompt": "A Cat", "artifacts": {"vae": SHAPES}})
    with closing(sqlite3.connect(tmp_path / "studio.db")) as connection, connection:
        for statement in (
            "INSERT INTO projects VALUES (1, 'p', 'starter', '<p>', '2026-01-01')",
            "INSERT INTO sample_requests VALUES (1, 1, 'image', '{}', 'succeeded', 1, 1, NULL, '')",
            f"INSERT INTO generations VALUES (1, 1, 1, 'image', 0, '{said}', 7, 'x', 'y', 9, 9, 1, "
            "'2026-01-01 00:00:00')",
        ):
            connection.execute(statement)
    database.migrate()
    with database.session() as session:
        images = GenerationRepository(session)
        assert images.ids(
            1, query=GalleryQuery(text="a cat", part=SHAPES, only_favorites=True)
        ) == [1]
    database.dispose()
