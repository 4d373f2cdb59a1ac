"""What the page of accounts shows, from what the ledger has: rows in the reader's language, local times."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dashboards.i18n import Language, translator
from twin.access import ROLE_LABELS
from twin.clock import local
from twin.ledger.audit import Entry, Verdict
from twin.ledger.users import Link, User

# Message ids by the audit's action; one that is missing is shown as it is
ACTIONS: Mapping[str, str] = {
    "user.sign-in": "signed in",
    "user.guessed": "passwords were guessed at",
    "user.add": "made an account",
    "user.password": "changed a password",
    "user.role": "changed a role",
    "user.disable": "disabled an account",
    "user.enable": "enabled an account",
    "kiosk.add": "made a kiosk link",
    "kiosk.revoke": "revoked a kiosk link",
    "drill.play": "played a drill",
    "drill.stop": "stopped a drill",
    "rules.commit": "saved thresholds",
    "service.out": "took out of service",
    "service.in": "took back into service",
    "silence.add": "silenced",
    "maintenance.add": "planned maintenance",
    "silence.end": "ended a silence",
    "alarm.acknowledge": "acknowledged an alarm",
    "alarm.comment": "commented on an alarm",
    "alarm.assign": "assigned an alarm",
    "alarm.shelve": "shelved an alarm",
    "alarm.unshelve": "took an alarm off the shelf",
}


class Page(msgspec.Struct, frozen=True):
    users: list[dict[str, Any]]
    links: list[dict[str, Any]]


def page(users: Sequence[User], links: Sequence[Link], language: Language) -> Page:
    _ = translator(language)
    return Page(
        [
            {
                "name": u.name,
                "role": u.role.value,
                "roleText": _(ROLE_LABELS[u.role]),
                "since": f"{local(u.created):%Y-%m-%d}",
                "disabled": u.disabled is not None,
                "state": _("active") if u.disabled is None else _("disabled"),
            }
            for u in users
        ],
        [
            {
                "id": link.id,
                "name": link.name,
                "by": link.by,
                "since": f"{local(link.at):%Y-%m-%d}",
                "revoked": link.revoked is not None,
                "state": _("active") if link.revoked is None else _("revoked"),
            }
            for link in links
        ],
    )


def audited(entries: Sequence[Entry], language: Language) -> list[dict[str, Any]]:
    _ = translator(language)
    return [
        {
            "number": e.number,
            "at": f"{local(e.at):%Y-%m-%d %H:%M:%S}",
            "by": e.by,
            "action": _(ACTIONS[e.action]) if e.action in ACTIONS else e.action,
            "subject": e.subject,
            "detail": "; ".join(f"{key}: {_plain(value)}" for key, value in json.loads(e.detail).items()),
        }
        for e in entries
    ]


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def verdict(found: Verdict, language: Language) -> str:
    _ = translator(language)
    if found.broken is None:
        return _("All {entries} entries are as they were written").format(entries=found.entries)
    return _("Broken at entry {number}: {why}").format(number=found.broken, why=found.why)
