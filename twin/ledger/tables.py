"""The ledger's tables as they are now. How older databases come to this form is in `migrations`."""

import sqlalchemy as sa

METADATA = sa.MetaData()

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
