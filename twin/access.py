"""Who may do what, and how it is made sure who somebody is. Pure: the ledger keeps it (`twin.ledger.users`).

Roles are four, each with all that the one before may, as in a control room: 浏览 viewer looks, 值班 operator works on
alarms, 管理 engineer changes rules, 系统 admin changes users. A kiosk link is a screen, not a person: it looks.

Passwords are kept as argon2id with the parameters of OWASP's Password Storage Cheat Sheet (19 MiB, 2 passes), which
a small machine can pay for several at a time. Sessions and kiosk links are random 256-bit tokens, of which only the
SHA-256 is kept: who reads the ledger cannot sign in with it.

Guessing is slowed by account and by address: after some free failures each further one doubles the wait, up to a
bound, and a quiet time forgets them (after NIST SP 800-63B, 5.2.2). An attempt is counted before it is looked at, so
that many at once gain nothing. What is answered does not depend on whether the user exists, nor does the time it takes.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from enum import StrEnum

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from twin.clock import HOUR, MINUTE, SECOND


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    ENGINEER = "engineer"
    ADMIN = "admin"


class Right(StrEnum):
    LOOK = "look"  # at everything but users and audit; ask what a rule would have raised
    ALARMS = "alarms"  # acknowledge, comment, assign, shelve
    SILENCES = "silences"  # silence and maintenance windows, out of service
    DRILLS = "drills"  # play scenarios into the simulated zone
    RULES = "rules"  # commit and roll back
    AUDIT = "audit"  # read it
    USERS = "users"  # users, kiosk links, other people's sessions


_STEPS: Mapping[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.LOOK}),
    Role.OPERATOR: frozenset({Right.ALARMS, Right.SILENCES, Right.DRILLS}),
    Role.ENGINEER: frozenset({Right.RULES, Right.AUDIT}),
    Role.ADMIN: frozenset({Right.USERS}),
}
RIGHTS: Mapping[Role, frozenset[Right]] = {
    role: frozenset().union(*list(_STEPS.values())[: i + 1]) for i, role in enumerate(_STEPS)
}
KIOSK_RIGHTS = frozenset({Right.LOOK})

# Message ids
ROLE_LABELS: Mapping[Role, str] = {
    Role.VIEWER: "Viewer",
    Role.OPERATOR: "Operator on duty",
    Role.ENGINEER: "Rules engineer",
    Role.ADMIN: "System admin",
}


def may(role: Role, right: Right) -> bool:
    return right in RIGHTS[role]


# --- passwords ---

LEAST, MOST = 10, 256  # characters; beyond the most, hashing would be work for an attacker's asking
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODY = _HASHER.hash(secrets.token_urlsafe())  # looked at for a user that does not exist: the same time


def hashed(password: str) -> str:
    return _HASHER.hash(password)


def verify(hash: str | None, password: str) -> bool:
    """Is it the password? None is a user that cannot sign in. Takes the same time whatever the answer: some 20 ms."""
    try:
        return _HASHER.verify(hash or _NOBODY, password[:MOST]) and hash is not None
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


def outdated(hash: str) -> bool:
    """Was it made with other parameters than today's? Then it is made anew when its password is next seen."""
    return _HASHER.check_needs_rehash(hash)


def weak(name: str, password: str) -> bool:
    whole = password.isprintable()  # half a character of a broken encoding is not
    return not (whole and LEAST <= len(password) <= MOST) or password.casefold() == name.casefold()


def made_password() -> str:
    """Random, 100 bits, in groups that can be read out: no letter or digit that looks like another."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(5)) for _ in range(4))


# Letters of any script: people sign in with their names
_NAME = re.compile(r"[\w.-]{2,40}")


def is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


# --- tokens ---


def made_token() -> str:
    """Random, 256 bits, fit for a cookie or a link."""
    return secrets.token_urlsafe(32)


def fingerprint(token: str) -> str:
    """What is kept of a token: its SHA-256. A random token needs neither salt nor a slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def csrf_of(token: str) -> str:
    """What a form or a request that changes something must bring with the session's cookie."""
    return hmac.new(token.encode(), b"csrf", hashlib.sha256).hexdigest()


def is_csrf_of(token: str, brought: str) -> bool:
    return hmac.compare_digest(csrf_of(token).encode(), brought.encode())


# --- guessing ---


class Patience(msgspec.Struct, frozen=True):
    """`free` failures cost nothing; then one waits `first` ms, doubled by each, at most `longest`; `quiet` forgets."""

    free: int
    first: int = SECOND
    longest: int = 15 * MINUTE
    quiet: int = 2 * HOUR


ACCOUNT_PATIENCE = Patience(free=5, longest=5 * MINUTE)  # shorter: who guesses must not lock the owner out for long
ADDRESS_PATIENCE = Patience(free=20)  # an office behind one address has many people


class Attempts(msgspec.Struct, frozen=True):
    failures: int = 0
    last: int = 0


def wait(attempts: Attempts, patience: Patience, now: int) -> int:
    """Ms until another attempt is looked at; 0 is now."""
    over = attempts.failures - patience.free
    if over < 0 or now - attempts.last >= patience.quiet:
        return 0
    held = min(patience.first << min(over, 40), patience.longest)
    return max(0, attempts.last + held - now)


def attempted(attempts: Attempts, patience: Patience, now: int) -> Attempts:
    """After one more, counted as failed until it is known to be right."""
    return Attempts(1 if now - attempts.last >= patience.quiet else attempts.failures + 1, now)
