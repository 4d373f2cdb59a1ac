"""Incidents, what people wrote in them, and the bundles of those that were imported."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "incident",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("level", sa.SmallInteger, nullable=False),
        sa.Column("begins", sa.BigInteger, nullable=False, index=True),
        sa.Column("ends", sa.BigInteger, nullable=False, index=True),
        sa.Column("districts", sa.JSON, nullable=False),
        sa.Column("devices", sa.JSON, nullable=False),
        sa.Column("causes", sa.Text, nullable=False),
        sa.Column("alarms", sa.JSON, nullable=False),
        sa.Column("run", sa.String(80), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("origin", sa.String(10), nullable=False),
        sa.Column("by", sa.String(80), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("source", sa.String(64), nullable=False, index=True),
    )
    op.create_table(
        "incident_entry",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("incident", sa.BigInteger, sa.ForeignKey("incident.id"), nullable=False, index=True),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("by", sa.String(80), nullable=False),
        sa.Column("written", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "incident_bundle",
        sa.Column("incident", sa.BigInteger, sa.ForeignKey("incident.id"), primary_key=True, autoincrement=False),
        sa.Column("parts", sa.Text, nullable=False),
    )
