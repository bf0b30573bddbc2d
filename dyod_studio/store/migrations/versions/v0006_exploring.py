"""Frames of strips, names of traits, and places that a person comes back to."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "frames",
        *_owned_columns(),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        *_constraints("frames", "key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "places",
        *_owned_columns(),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("vae_sha256", sa.String(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        *_constraints("places", "name"),
        sqlite_autoincrement=True,
    )
    for table in ("frames", "places"):
        for column in ("sha256", "thumbnail_sha256"):
            op.create_index(f"ix_{table}_{column}", table, [column])
    op.create_table(
        "trait_names",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("vae_sha256", sa.String(), nullable=False),
        sa.Column("rank", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        _of_project("trait_names"),
        sa.PrimaryKeyConstraint("project_id", "vae_sha256", "rank", name="pk_trait_names"),
    )


def _owned_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("thumbnail_sha256", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
    ]


def _constraints(table: str, unique: str) -> list[sa.Constraint]:
    return [
        _of_project(table),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("project_id", unique, name=f"uq_{table}_project_id_{unique}"),
    ]


def _of_project(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["project_id"], ["projects.id"], name=f"fk_{table}_project_id", ondelete="CASCADE"
    )
