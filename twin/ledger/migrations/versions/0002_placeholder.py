"""Stands where the step for rules, alarms, users and the audit comes."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    pass
