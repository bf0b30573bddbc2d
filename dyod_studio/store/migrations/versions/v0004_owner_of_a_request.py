"""Sample requests that name the process they were asked by, so that a dead one's can be closed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

LEFT_OPEN = "The studio ended before this was made; ask for it again."


def upgrade() -> None:
    op.add_column("sample_requests", sa.Column("host", sa.String(), nullable=True))
    op.add_column("sample_requests", sa.Column("pid", sa.Integer(), nullable=True))
    op.add_column("sample_requests", sa.Column("pid_started_at", sa.Double(), nullable=True))
    op.get_bind().execute(
        sa.text(
            "UPDATE sample_requests SET state = 'failed', error = :error "
            "WHERE state IN ('queued', 'running')"
        ),
        {"error": LEFT_OPEN},
    )
