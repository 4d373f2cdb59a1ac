"""Runs the steps in `versions` on the connection that `Ledger` hands over."""

from alembic import context

from twin.ledger.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
