"""What gateways said of themselves, and transitions by when they were noticed: replay asks for both."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "gateway",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("gateway", sa.String(80), nullable=False),
        sa.Column("online", sa.Boolean, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_gateway_at", "gateway", ["at"])
    op.create_index("ix_transition_noticed", "transition", ["noticed"])
