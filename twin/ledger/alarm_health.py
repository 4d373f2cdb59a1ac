"""The alarms' health over a range, from what the ledger has: see `twin.alarm_health`."""

import sqlalchemy as sa

from twin.alarm_health import Report, counted, report
from twin.episodes import OPEN
from twin.ledger import alarms, rules, silences
from twin.registry import Registry
from twin.settings import Alarms as Targets


def of(connection: sa.Connection, registry: Registry, begin: int, end: int, targets: Targets) -> Report:
    """Over [begin, end), UTC ms. What is out of service now, and what was under maintenance then, does not count."""
    groups = {rule.id: rule.group for rule in rules.current(connection).rules}
    out = alarms.out(connection)
    windows = silences.between(connection, begin, end)
    called = counted(alarms.transitions(connection, begin, end), out.keys(), windows, groups, registry)
    standing = alarms.find(connection, alarms.Filter(states=OPEN, hidden=False), now=end, limit=None)
    return report(called, standing, begin, end, targets)
