"""The ledger's tables as they are now. How older databases come to this form is in `migrations`.

Times are UTC ms. Ids are given by the one writer, counting up, so that they are in the order of what happened.
"""

import sqlalchemy as sa

METADATA = sa.MetaData()


def _name(column: str, *more: sa.ForeignKey, length: int = 80, null: bool = False, key: bool = False) -> sa.Column[str]:
    return sa.Column(column, sa.String(length), *more, nullable=null, primary_key=key)


def _number(column: str) -> sa.Column[int]:
    return sa.Column(column, sa.BigInteger, primary_key=True, autoincrement=False)


def _time(column: str, *, null: bool = False, index: bool = False) -> sa.Column[int]:
    return sa.Column(column, sa.BigInteger, nullable=null, index=index)


def _alarm() -> sa.Column[int]:
    return sa.Column("alarm", sa.BigInteger, sa.ForeignKey("alarm.id"), index=True)


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

# Every version of the rules, whole (twin.ledger.rules). Append-only
RULES = sa.Table(
    "rules",
    METADATA,
    _number("version"),
    sa.Column("base", sa.BigInteger, nullable=False),
    sa.Column("restores", sa.BigInteger),
    _time("at", index=True),
    _name("author"),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("rules", sa.Text, nullable=False),
)

# One row an episode of a rule on a subject, from raised to cleared: the state that its transitions add up to
ALARM = sa.Table(
    "alarm",
    METADATA,
    _number("id"),
    _name("rule"),
    sa.Column("version", sa.BigInteger, nullable=False),
    _name("subject", length=120),
    _name("cause"),
    sa.Column("level", sa.SmallInteger, nullable=False),
    sa.Column("highest", sa.SmallInteger, nullable=False),
    _time("opened", index=True),
    _time("changed"),
    _time("closed", null=True, index=True),
    sa.Column("unknown", sa.Boolean, nullable=False),
    sa.Column("flapping", sa.Boolean, nullable=False),
    sa.Column("value", sa.Double),
    _time("waiting_since"),
    _name("acknowledged_by", null=True),
    _time("acknowledged_at", null=True),
    _name("assigned_to", null=True),
)
sa.Index(
    "ux_alarm_open",
    ALARM.c.rule,
    ALARM.c.subject,
    unique=True,
    sqlite_where=ALARM.c.closed.is_(None),
    postgresql_where=ALARM.c.closed.is_(None),
)

# What the evaluator said, as it said it. Append-only
TRANSITION = sa.Table(
    "transition",
    METADATA,
    _number("id"),
    _name("rule"),
    sa.Column("version", sa.BigInteger, nullable=False),
    _name("subject", length=120),
    _time("at", index=True),
    _name("kind", length=16),
    sa.Column("level", sa.SmallInteger, nullable=False),
    sa.Column("was", sa.SmallInteger, nullable=False),
    sa.Column("value", sa.Double),
    _name("reason", length=16),
    sa.Column("flapping", sa.Boolean, nullable=False),
    _time("noticed", index=True),
    _alarm(),
    sa.UniqueConstraint("rule", "subject", "at", "kind", "level", "was", name="ux_transition"),
)

# What people said and did about an alarm
NOTE = sa.Table(
    "note",
    METADATA,
    _number("id"),
    _alarm(),
    _time("at"),
    _name("by"),
    _name("action", length=20),
    sa.Column("text", sa.Text, nullable=False),
)

SHELF = sa.Table(
    "shelf",
    METADATA,
    _name("rule", key=True),
    _name("subject", length=120, key=True),
    _time("until"),
    _name("by"),
    _time("at"),
    sa.Column("reason", sa.Text, nullable=False),
)

OUT_OF_SERVICE = sa.Table(
    "out_of_service",
    METADATA,
    _name("subject", length=120, key=True),
    _name("by"),
    _time("at"),
    sa.Column("reason", sa.Text, nullable=False),
)

SILENCE = sa.Table(
    "silence",
    METADATA,
    _number("id"),
    _name("purpose", length=16),
    sa.Column("scope", sa.Text, nullable=False),
    _time("begins"),
    _time("ends", index=True),
    _name("by"),
    _time("at"),
    sa.Column("reason", sa.Text, nullable=False),
)

# Named ranges of the past (twin.incidents)
INCIDENT = sa.Table(
    "incident",
    METADATA,
    _number("id"),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("level", sa.SmallInteger, nullable=False),
    _time("begins", index=True),
    _time("ends", index=True),
    sa.Column("districts", sa.JSON, nullable=False),
    sa.Column("devices", sa.JSON, nullable=False),
    sa.Column("causes", sa.Text, nullable=False),
    sa.Column("alarms", sa.JSON, nullable=False),
    _name("run"),
    _name("state", length=10),
    _name("origin", length=10),
    _name("by"),
    _time("at"),
    _time("changed"),
    sa.Column("source", sa.String(64), nullable=False, index=True),
)

INCIDENT_ENTRY = sa.Table(
    "incident_entry",
    METADATA,
    _number("id"),
    sa.Column("incident", sa.BigInteger, sa.ForeignKey("incident.id"), nullable=False, index=True),
    _name("kind", length=10),
    _time("at"),
    sa.Column("text", sa.Text, nullable=False),
    _name("by"),
    _time("written"),
)

# What an imported incident came with (twin.bundle), as JSON
INCIDENT_BUNDLE = sa.Table(
    "incident_bundle",
    METADATA,
    sa.Column("incident", sa.BigInteger, sa.ForeignKey("incident.id"), primary_key=True, autoincrement=False),
    sa.Column("parts", sa.Text, nullable=False),
)

ACCOUNT = sa.Table(
    "account",  # "user" is a word of SQL
    METADATA,
    _name("name", length=40, key=True),
    _name("role", length=16),
    _name("hash", length=200),
    _time("created"),
    _time("changed"),
    _time("disabled", null=True),
)

SESSION = sa.Table(
    "session",
    METADATA,
    _name("token", length=64, key=True),  # its SHA-256
    _name("account", sa.ForeignKey("account.name"), length=40),
    _time("opened"),
    _time("seen"),
    _time("ends", index=True),
    _name("address"),
)

KIOSK = sa.Table(
    "kiosk",
    METADATA,
    _number("id"),
    sa.Column("token", sa.String(64), nullable=False, unique=True),  # its SHA-256
    _name("name"),
    _name("by"),
    _time("at"),
    _time("revoked", null=True),
)

# Failed sign-ins, by account and by address (twin.access)
ATTEMPT = sa.Table(
    "attempt",
    METADATA,
    _name("key", length=80, key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    _time("last", index=True),
)

# Every change by a person, each entry bound to the one before (twin.ledger.audit). Append-only
AUDIT = sa.Table(
    "audit",
    METADATA,
    _number("number"),
    _time("at", index=True),
    _name("by"),
    _name("action", length=40),
    _name("subject", length=160),
    sa.Column("detail", sa.Text, nullable=False),
    _name("previous", length=64),
    _name("hash", length=64),
)

# What gateways said of themselves, as the engine heard it (twin.ledger.gateways). Append-only
GATEWAY = sa.Table(
    "gateway",
    METADATA,
    _number("id"),
    _name("gateway"),
    sa.Column("online", sa.Boolean, nullable=False),
    _time("at", index=True),
)

# Spans of the past that were simulated (twin.ledger.simulated); they do not touch
SIMULATED = sa.Table("simulated", METADATA, _number("begins"), _time("ends"))

# The alarm evaluator's state (twin.alerts.Evaluator.freeze), at most one row
WATCH = sa.Table(
    "watch",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("state", sa.LargeBinary, nullable=False),
)
