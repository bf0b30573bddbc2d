"""A gallery that is searched, and whose images can be brought back after they were deleted."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

SEARCHED = ("project_id", "deleted_at", "created_at", "id", "kind", "is_favorite", "seed", "words")
MAX_WORDS = 500


def upgrade() -> None:
    op.add_column("generations", sa.Column("deleted_at", sa.DateTime(), nullable=True))
    op.add_column(
        "generations", sa.Column("words", sa.String(), nullable=False, server_default=sa.text("''"))
    )
    op.create_table(
        "generation_parts",
        sa.Column("generation_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["generation_id"],
            ["generations.id"],
            name="fk_generation_parts_generation_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("generation_id", "kind", name="pk_generation_parts"),
    )
    _fill()
    op.create_index("ix_generation_parts_sha256", "generation_parts", ["sha256", "generation_id"])
    op.create_index("ix_generations_gallery", "generations", list(SEARCHED))


def _fill() -> None:
    """Fill in the words that the images that are there already can be found by."""
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT id, parameters FROM generations")).all()
    for generation_id, said in rows:
        parameters: dict[str, Any] = json.loads(said) if isinstance(said, str) else said
        texts = (parameters.get("prompt"), parameters.get("condition_text"))
        words = " ".join(text for text in texts if isinstance(text, str)).lower()[:MAX_WORDS]
        connection.execute(
            sa.text("UPDATE generations SET words = :words WHERE id = :id"),
            {"words": words, "id": generation_id},
        )
        for kind, sha256 in (parameters.get("artifacts") or {}).items():
            connection.execute(
                sa.text("INSERT INTO generation_parts VALUES (:id, :kind, :sha256)"),
                {"id": generation_id, "kind": kind, "sha256": sha256},
            )
