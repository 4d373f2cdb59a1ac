"""The facts of simulated scenarios."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "truth",
        sa.Column("run", sa.String(80), primary_key=True),
        sa.Column("ordinal", sa.Integer, primary_key=True),
        sa.Column("scenario", sa.String(40), nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("devices", sa.JSON, nullable=False),
        sa.Column("began", sa.BigInteger, nullable=False),
        sa.Column("ended", sa.BigInteger, nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
    )
    op.create_index("ix_truth_began", "truth", ["began"])
