"""Run by Alembic only, with the connection that ``store.database`` hands over."""

from alembic import context

from dyod_studio.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
