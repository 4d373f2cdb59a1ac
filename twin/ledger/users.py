"""Accounts, their sessions, and kiosk links. What it rests on is in `twin.access`.

`sign_in` looks at a password outside any transaction: hashing takes as long as fifty commits, and the ledger has one
writer. A session ends when it was not used for a while, at a fixed time after it was opened, and when its account is
disabled, gets another role or another password.
"""

import msgspec
import sqlalchemy as sa

from twin import access
from twin.access import ACCOUNT_PATIENCE, ADDRESS_PATIENCE, Attempts, Patience, Right, Role
from twin.clock import DAY, MINUTE, SECOND
from twin.errors import RefusedError
from twin.ledger import Ledger, audit
from twin.ledger.tables import ACCOUNT, ATTEMPT, KIOSK, SESSION
from twin.refusal import Refusal

FIRST = "admin"
TOUCH = MINUTE  # how exactly it is known when a session was last used


class User(msgspec.Struct, frozen=True):
    name: str
    role: Role
    created: int
    changed: int
    disabled: int | None


class Session(msgspec.Struct, frozen=True):
    """Who asks: a user, or a kiosk link (`role` None). `seen` is to be renewed with `touch` when `stale`."""

    who: str
    role: Role | None
    seen: int
    ends: int | None

    @property
    def rights(self) -> frozenset[Right]:
        return access.KIOSK_RIGHTS if self.role is None else access.RIGHTS[self.role]

    def may(self, right: Right) -> bool:
        return right in self.rights

    def stale(self, now: int) -> bool:
        return self.role is not None and now - self.seen >= TOUCH


class Link(msgspec.Struct, frozen=True):
    id: int
    name: str
    by: str
    at: int
    revoked: int | None


# --- accounts ---


def first_admin(connection: sa.Connection, *, at: int) -> str | None:
    """Where there is no account yet, make `admin` and return its password, which is kept nowhere; else None."""
    if connection.execute(sa.select(ACCOUNT.c.name).limit(1)).first():
        return None
    password = access.made_password()
    add(connection, FIRST, Role.ADMIN, password, by="gaoxin", at=at)
    return password


def add(connection: sa.Connection, name: str, role: Role, password: str, *, by: str, at: int) -> None:
    if not access.is_name(name):
        raise RefusedError(Refusal.USER_NAME, user=name)
    taken = sa.select(ACCOUNT.c.name).where(sa.func.lower(ACCOUNT.c.name) == name.lower())
    if connection.execute(taken).first():
        raise RefusedError(Refusal.USER_EXISTS, user=name)
    row = {"name": name, "role": role.value, "hash": _hashed(name, password), "created": at, "changed": at}
    connection.execute(sa.insert(ACCOUNT).values(row))
    audit.append(connection, by=by, at=at, action="user.add", subject=f"user {name}", detail={"role": role})


def users(connection: sa.Connection) -> list[User]:
    rows = connection.execute(sa.select(ACCOUNT).order_by(ACCOUNT.c.name))
    return [User(r.name, Role(r.role), r.created, r.changed, r.disabled) for r in rows]


def user(connection: sa.Connection, name: str) -> User:
    """Raises RefusedError when there is none, or it is disabled."""
    found = next((u for u in users(connection) if u.name == name and u.disabled is None), None)
    if found is None:
        raise RefusedError(Refusal.NO_USER, user=name)
    return found


def set_password(
    connection: sa.Connection, name: str, password: str, *, by: str, at: int, spare: str | None = None
) -> None:
    """All its sessions end, but that of the token `spare`: who changes their own stays signed in."""
    user(connection, name)
    values = {"hash": _hashed(name, password), "changed": at}
    connection.execute(sa.update(ACCOUNT).where(ACCOUNT.c.name == name).values(values))
    sign_out_everywhere(connection, name, spare=spare)
    audit.append(connection, by=by, at=at, action="user.password", subject=f"user {name}")


def set_role(connection: sa.Connection, name: str, role: Role, *, by: str, at: int) -> None:
    old = user(connection, name).role
    if old is Role.ADMIN and role is not Role.ADMIN:
        _another_admin(connection, name)
    connection.execute(sa.update(ACCOUNT).where(ACCOUNT.c.name == name).values(role=role.value, changed=at))
    sign_out_everywhere(connection, name)
    detail = {"role": role, "was": old}
    audit.append(connection, by=by, at=at, action="user.role", subject=f"user {name}", detail=detail)


def disable(connection: sa.Connection, name: str, *, by: str, at: int) -> None:
    """It signs in no more. Its name stays taken, for the audit's sake."""
    if user(connection, name).role is Role.ADMIN:
        _another_admin(connection, name)
    connection.execute(sa.update(ACCOUNT).where(ACCOUNT.c.name == name).values(disabled=at, changed=at))
    sign_out_everywhere(connection, name)
    audit.append(connection, by=by, at=at, action="user.disable", subject=f"user {name}")


def enable(connection: sa.Connection, name: str, *, by: str, at: int) -> None:
    values = {"disabled": None, "changed": at}
    asked = sa.update(ACCOUNT).where(ACCOUNT.c.name == name, ACCOUNT.c.disabled.is_not(None))
    if not connection.execute(asked.values(values)).rowcount:
        raise RefusedError(Refusal.NO_USER, user=name)
    audit.append(connection, by=by, at=at, action="user.enable", subject=f"user {name}")


def _hashed(name: str, password: str) -> str:
    if access.weak(name, password):
        raise RefusedError(Refusal.WEAK, least=access.LEAST, most=access.MOST)
    return access.hashed(password)


def _another_admin(connection: sa.Connection, name: str) -> None:
    if not any(u.role is Role.ADMIN and u.disabled is None and u.name != name for u in users(connection)):
        raise RefusedError(Refusal.LAST_ADMIN, user=name)


# --- sessions ---


def sign_in(ledger: Ledger, name: str, password: str, *, address: str, now: int, lasts: int) -> str:
    """The token of a new session, which ends at the latest after `lasts` ms.

    Raises RefusedError: SIGN_IN whatever was wrong, WAIT with the seconds when there were too many attempts.
    """
    hash = _checked(ledger, name, password, address, now)
    renewed = access.hashed(password) if access.outdated(hash) else hash
    with ledger.transaction() as connection:
        _still(connection, name, hash, renewed)
        _forgive(connection, name, address)
        return _open(connection, name, address, now, lasts)


def change_password(
    ledger: Ledger, name: str, password: str, new: str, *, address: str, now: int, spare: str | None = None
) -> None:
    """One's own, which is to be known: an open session at an empty desk must not be enough. Raises as `sign_in`."""
    hash = _checked(ledger, name, password, address, now)
    with ledger.transaction() as connection:
        _still(connection, name, hash, hash)
        _forgive(connection, name, address)
        set_password(connection, name, new, by=name, at=now, spare=spare)


def _checked(ledger: Ledger, name: str, password: str, address: str, now: int) -> str:
    """The hash that the password was found to fit, outside any transaction."""
    name = name if access.is_name(name) else ""  # what cannot be a name is not put to the database
    with ledger.transaction() as connection:
        held = _attempt(connection, name, address, now)
        row = connection.execute(
            sa.select(ACCOUNT.c.hash).where(ACCOUNT.c.name == name, ACCOUNT.c.disabled.is_(None))
        ).first()
    if held:
        raise RefusedError(Refusal.WAIT, seconds=-(-held // SECOND))
    right = access.verify(row.hash if row else None, password)
    if row is None or not right:
        raise RefusedError(Refusal.SIGN_IN)
    return str(row.hash)


def _still(connection: sa.Connection, name: str, hash: str, renewed: str) -> None:
    """It may have been disabled, or its password changed, while it was looked at."""
    same = sa.update(ACCOUNT).where(ACCOUNT.c.name == name, ACCOUNT.c.hash == hash, ACCOUNT.c.disabled.is_(None))
    if not connection.execute(same.values(hash=renewed)).rowcount:
        raise RefusedError(Refusal.SIGN_IN)


def _open(connection: sa.Connection, name: str, address: str, now: int, lasts: int) -> str:
    token = access.made_token()
    row = {"token": access.fingerprint(token), "account": name, "opened": now, "seen": now, "ends": now + lasts}
    connection.execute(sa.delete(SESSION).where(SESSION.c.ends <= now))
    connection.execute(sa.insert(SESSION).values(row | {"address": address[:80]}))
    audit.append(
        connection, by=name, at=now, action="user.sign-in", subject=f"user {name}", detail={"address": address}
    )
    return token


def session(connection: sa.Connection, token: str, *, now: int, idle: int) -> Session | None:
    """Who this token is, if its session goes on; `idle` is the longest ms between two uses."""
    mine = sa.select(SESSION.c.account, SESSION.c.seen, SESSION.c.ends, ACCOUNT.c.role)
    mine = mine.join_from(SESSION, ACCOUNT).where(
        SESSION.c.token == access.fingerprint(token), ACCOUNT.c.disabled.is_(None)
    )
    row = connection.execute(mine).first()
    if row is None or now >= row.ends or now - row.seen >= idle:
        return None
    return Session(row.account, Role(row.role), row.seen, row.ends)


def touch(connection: sa.Connection, token: str, *, now: int) -> None:
    """It is in use."""
    mine = SESSION.c.token == access.fingerprint(token)
    connection.execute(sa.update(SESSION).where(mine, SESSION.c.seen < now).values(seen=now))


def sign_out(connection: sa.Connection, token: str) -> None:
    connection.execute(sa.delete(SESSION).where(SESSION.c.token == access.fingerprint(token)))


def sign_out_everywhere(connection: sa.Connection, name: str, *, spare: str | None = None) -> None:
    ended = sa.delete(SESSION).where(SESSION.c.account == name)
    if spare is not None:
        ended = ended.where(SESSION.c.token != access.fingerprint(spare))
    connection.execute(ended)


# --- guessing ---


def _keys(name: str, address: str) -> tuple[tuple[str, Patience], tuple[str, Patience]]:
    """Hashed, as what was typed for a name may be anything, a password included."""
    by_name, by_address = (access.fingerprint(f"{what} {text}") for what, text in (("n", name), ("a", address)))
    return (by_name, ACCOUNT_PATIENCE), (by_address, ADDRESS_PATIENCE)


def _attempt(connection: sa.Connection, name: str, address: str, now: int) -> int:
    """Count an attempt and return 0, or the ms it has to wait, uncounted."""
    connection.execute(sa.delete(ATTEMPT).where(ATTEMPT.c.last < now - DAY))
    keys = _keys(name, address)
    rows = connection.execute(sa.select(ATTEMPT).where(ATTEMPT.c.key.in_([key for key, _ in keys])))
    before = {row.key: Attempts(row.failures, row.last) for row in rows}
    held = max(access.wait(before.get(key, Attempts()), patience, now) for key, patience in keys)
    if held:
        return held
    for key, patience in keys:
        after = access.attempted(before.get(key, Attempts()), patience, now)
        connection.execute(sa.delete(ATTEMPT).where(ATTEMPT.c.key == key))
        connection.execute(sa.insert(ATTEMPT).values(key=key, failures=after.failures, last=after.last))
        if after.failures == patience.free + 1 and patience is ACCOUNT_PATIENCE:
            audit.append(
                connection, by="gaoxin", at=now, action="user.guessed", subject="sign-in", detail={"address": address}
            )
    return 0


def _forgive(connection: sa.Connection, name: str, address: str) -> None:
    """Right: the account's failures are forgotten, and of the address' this one, so that no account washes it clean."""
    (by_name, _), (by_address, _) = _keys(name, address)
    connection.execute(sa.delete(ATTEMPT).where(ATTEMPT.c.key == by_name))
    one_less = sa.update(ATTEMPT).where(ATTEMPT.c.key == by_address, ATTEMPT.c.failures > 0)
    connection.execute(one_less.values(failures=ATTEMPT.c.failures - 1))


# --- kiosk links ---


def add_link(connection: sa.Connection, name: str, *, by: str, at: int) -> str:
    """A screen's link: returns its token, which is kept nowhere. It can only look, and lasts until it is revoked."""
    if not name.strip():
        raise RefusedError(Refusal.LINK_NAME)
    token = access.made_token()
    id = (connection.execute(sa.select(sa.func.max(KIOSK.c.id))).scalar() or 0) + 1
    row = {"id": id, "token": access.fingerprint(token), "name": name.strip(), "by": by, "at": at}
    connection.execute(sa.insert(KIOSK).values(row))
    audit.append(connection, by=by, at=at, action="kiosk.add", subject=f"link {id}", detail={"name": name.strip()})
    return token


def links(connection: sa.Connection) -> list[Link]:
    c = KIOSK.c
    rows = connection.execute(sa.select(c.id, c.name, c.by, c.at, c.revoked).order_by(c.id))
    return [Link(*row) for row in rows]


def kiosk(connection: sa.Connection, token: str) -> Session | None:
    """The screen whose link this is, unless it was revoked."""
    mine = sa.select(KIOSK.c.name, KIOSK.c.at).where(
        KIOSK.c.token == access.fingerprint(token), KIOSK.c.revoked.is_(None)
    )
    row = connection.execute(mine).first()
    return Session(row.name, None, row.at, None) if row else None


def revoke_link(connection: sa.Connection, link: int, *, by: str, at: int) -> None:
    mine = sa.update(KIOSK).where(KIOSK.c.id == link, KIOSK.c.revoked.is_(None))
    if not connection.execute(mine.values(revoked=at)).rowcount:
        raise RefusedError(Refusal.NO_LINK, link=link)
    audit.append(connection, by=by, at=at, action="kiosk.revoke", subject=f"link {link}")
