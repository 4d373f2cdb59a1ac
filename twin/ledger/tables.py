"""The ledger's tables as they are now. How older databases come to this form is in `migrations`."""

import sqlalchemy as sa

METADATA = sa.MetaData()

# Notices on their way, and what each channel has been told (twin.notices)
OUTBOX = sa.Table(
    "outbox",
    METADATA,
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
    sa.Index("ix_outbox_queue", "channel", "state", "due"),
)

TOLD = sa.Table(
    "told",
    METADATA,
    sa.Column("channel", sa.String(40), primary_key=True),
    sa.Column("group", sa.String(300), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("alarms", sa.JSON, nullable=False),
)

# Facts of simulated scenarios (twin.truth)
TRUTH = sa.Table(
    "truth",
    METADATA,
    sa.Column("run", sa.String(80), primary_key=True),
    sa.Column("ordinal", sa.Integer, primary_key=True),
    sa.Column("scenario", sa.String(40), nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("devices", sa.JSON, nullable=False),
    sa.Column("began", sa.BigInteger, nullable=False, index=True),
    sa.Column("ended", sa.BigInteger, nullable=False),
    sa.Column("level", sa.Integer, nullable=False),
)
