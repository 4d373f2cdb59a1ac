"""Notices on their way, and what each channel has been told."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String(400), nullable=False, unique=True),
        sa.Column("channel", sa.String(40), nullable=False),
        sa.Column("group", sa.String(300), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("alarms", sa.JSON, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("written", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.String(80), nullable=False),
        sa.Column("leased", sa.BigInteger, nullable=False),
        sa.Column("settled", sa.BigInteger, nullable=True),
        sa.Column("error", sa.Text, nullable=False),
    )
    op.create_index("ix_outbox_queue", "outbox", ["channel", "state", "due"])
    op.create_table(
        "told",
        sa.Column("channel", sa.String(40), primary_key=True),
        sa.Column("group", sa.String(300), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("alarms", sa.JSON, nullable=False),
    )
