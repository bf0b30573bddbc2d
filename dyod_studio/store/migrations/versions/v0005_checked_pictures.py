"""Pictures that are looked over: how sharp they are, what they stand on, which are left out."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    no = sa.false()
    op.add_column("pictures", sa.Column("sharpness", sa.Double(), nullable=True))
    op.add_column("pictures", sa.Column("ground", sa.String(), nullable=True))
    op.add_column("pictures", sa.Column("repeats_sha256", sa.String(), nullable=True))
    op.add_column(
        "pictures", sa.Column("is_left_out", sa.Boolean(), nullable=False, server_default=no)
    )
    op.add_column("projects", sa.Column("rights_confirmed_at", sa.DateTime(), nullable=True))
