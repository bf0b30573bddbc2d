"""Jobs that pause, queue in an order, go on from a checkpoint; measured needs of a method."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table(
        "jobs", recreate="always", table_kwargs={"sqlite_autoincrement": True}
    ) as table:
        for column in _new_columns():
            table.add_column(column)
        table.create_foreign_key(
            "fk_jobs_continues_job_id", "jobs", ["continues_job_id"], ["id"], ondelete="SET NULL"
        )
    op.execute("UPDATE jobs SET place = id")
    _create_calibrations()


def _new_columns() -> list[sa.Column[object]]:
    empty_list, empty_dict, no = sa.text("'[]'"), sa.text("'{}'"), sa.false()
    return [
        sa.Column("place", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("continues_job_id", sa.Integer(), nullable=True),
        sa.Column("start_step", sa.Integer(), nullable=True),
        sa.Column("is_finish_only", sa.Boolean(), nullable=False, server_default=no),
        sa.Column("adjustments", sa.JSON(), nullable=False, server_default=empty_dict),
        sa.Column("samples_per_s", sa.Double(), nullable=True),
        sa.Column("peak_memory_mb", sa.Double(), nullable=True),
        sa.Column("remedy", sa.Text(), nullable=True),
        sa.Column("notes", sa.JSON(), nullable=False, server_default=empty_list),
        sa.Column("pause_requested", sa.Boolean(), nullable=False, server_default=no),
        sa.Column("save_requested", sa.Boolean(), nullable=False, server_default=no),
        sa.Column("sample_requested", sa.Boolean(), nullable=False, server_default=no),
        sa.Column("host", sa.String(), nullable=True),
        sa.Column("device", sa.String(), nullable=True),
    ]


def _create_calibrations() -> None:
    settings = ("device", "base_fingerprint", "method", "resolution", "key")
    op.create_table(
        "calibrations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("base_fingerprint", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("resolution", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("peak_memory_mb", sa.Double(), nullable=False),
        sa.Column("setup_s", sa.Double(), nullable=False),
        sa.Column("step_s", sa.Double(), nullable=False),
        sa.Column("preview_s", sa.Double(), nullable=True),
        sa.Column("checkpoint_s", sa.Double(), nullable=True),
        sa.Column("num_samples", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_calibrations"),
        sa.UniqueConstraint(*settings, name="uq_calibrations_" + "_".join(settings)),
        sqlite_autoincrement=True,
    )
