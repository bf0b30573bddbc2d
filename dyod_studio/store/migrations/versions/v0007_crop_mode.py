"""Choice of what is learned of pictures that are no squares; until now they were all cut."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    column = sa.Column("crop_mode", sa.String(), nullable=False, server_default="content")
    op.add_column("projects", column)
