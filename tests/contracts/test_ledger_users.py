"""Accounts in the ledger, on both databases: who signs in, how long for, and what guessing costs."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from tests.zone import T0
from twin import access
from twin.access import Right, Role
from twin.clock import DAY, HOUR, MINUTE, SECOND
from twin.errors import RefusedError
from twin.ledger import Ledger, audit, users
from twin.ledger.tables import ACCOUNT, ATTEMPT, KIOSK, SESSION
from twin.refusal import Refusal

PASSWORD = "correct horse battery"
LASTS, IDLE = 12 * HOUR, HOUR


@pytest.fixture(autouse=True)
def people(ledger: Ledger) -> None:
    with ledger.transaction() as c:
        users.add(c, "zhang", Role.ADMIN, PASSWORD, by="gaoxin", at=T0)
        users.add(c, "li", Role.OPERATOR, PASSWORD, by="zhang", at=T0)


def sign_in(
    ledger: Ledger, name: str = "li", password: str = PASSWORD, *, now: int = T0, address: str = "10.0.0.7"
) -> str:
    return users.sign_in(ledger, name, password, address=address, now=now, lasts=LASTS)


def tried(ledger: Ledger, name: str = "li", password: str = "wrong", *, now: int, address: str = "10.0.0.7") -> str:
    """The refusal, or the word "in"."""
    try:
        sign_in(ledger, name, password, now=now, address=address)
    except RefusedError as refused:
        return Refusal(refused.reason).name
    return "in"


def who(ledger: Ledger, token: str, now: int = T0) -> users.Session | None:
    with ledger.reading() as c:
        return users.session(c, token, now=now, idle=IDLE)


def does(ledger: Ledger, what: object, *arguments: object, at: int = T0, **more: object) -> object:
    with ledger.transaction() as c:
        return what(c, *arguments, by="zhang", at=at, **more)  # type: ignore[operator]


class TestAccounts:
    def test_the_first_start_makes_one_admin_and_says_its_password_once(self, ledger: Ledger) -> None:
        with ledger.transaction() as c:
            assert users.first_admin(c, at=T0) is None
            c.execute(sa.delete(ACCOUNT))
            password = users.first_admin(c, at=T0)
            assert password is not None
            assert users.first_admin(c, at=T0) is None
            assert users.user(c, "admin").role is Role.ADMIN
        assert len(set(password)) > 5
        assert len(password) == 23
        token = sign_in(ledger, "admin", password)
        found = who(ledger, token)
        assert found is not None
        assert found.may(Right.USERS)
        with ledger.reading() as c:
            assert not any(password in e.detail for e in audit.entries(c))

    def test_a_password_is_kept_as_argon2id_only(self, ledger: Ledger) -> None:
        with ledger.reading() as c:
            hashes = [row.hash for row in c.execute(sa.select(ACCOUNT.c.hash))]
        assert all(h.startswith("$argon2id$v=19$m=19456,t=2,p=1$") for h in hashes)
        assert len(set(hashes)) == 2

    @pytest.mark.parametrize(
        ("name", "password", "refusal"),
        [
            ("li", PASSWORD, Refusal.USER_EXISTS),
            ("LI", PASSWORD, Refusal.USER_EXISTS),
            ("x", PASSWORD, Refusal.USER_NAME),
            ("a b", PASSWORD, Refusal.USER_NAME),
            ("wang\n", PASSWORD, Refusal.USER_NAME),
            ("wang", "short", Refusal.WEAK),
            ("wang", "x" * 257, Refusal.WEAK),
            ("wangxiaoming", "WangXiaoMing", Refusal.WEAK),
        ],
    )
    def test_what_cannot_be_an_account_is_refused(
        self, ledger: Ledger, name: str, password: str, refusal: Refusal
    ) -> None:
        with pytest.raises(RefusedError) as refused:
            does(ledger, users.add, name, Role.VIEWER, password)
        assert refused.value.reason is refusal

    def test_a_chinese_name_is_a_name(self, ledger: Ledger) -> None:
        does(ledger, users.add, "王小明", Role.VIEWER, PASSWORD)
        assert tried(ledger, "王小明", PASSWORD, now=T0) == "in"

    def test_the_last_admin_stays(self, ledger: Ledger) -> None:
        for what, more in ((users.disable, ()), (users.set_role, (Role.VIEWER,))):
            with pytest.raises(RefusedError, match="only admin left"):
                does(ledger, what, "zhang", *more)
        does(ledger, users.set_role, "li", Role.ADMIN)
        does(ledger, users.disable, "zhang")
        with pytest.raises(RefusedError, match="only admin left"):
            does(ledger, users.disable, "li")

    def test_disabled_signs_in_no_more_and_can_be_taken_back(self, ledger: Ledger) -> None:
        token = sign_in(ledger)
        does(ledger, users.disable, "li")
        assert who(ledger, token) is None
        assert tried(ledger, password=PASSWORD, now=T0) == "SIGN_IN"
        with pytest.raises(RefusedError):
            does(ledger, users.disable, "li")
        does(ledger, users.enable, "li")
        assert who(ledger, token) is None
        assert tried(ledger, password=PASSWORD, now=T0) == "in"

    @pytest.mark.parametrize(("what", "arguments"), [(users.disable, ()), (users.set_password, ("another password",))])
    def test_what_happens_to_an_account_while_its_password_is_looked_at_counts(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, what: object, arguments: tuple[str, ...]
    ) -> None:
        verify = access.verify

        def meanwhile(hash: str | None, password: str) -> bool:
            does(ledger, what, "li", *arguments)
            return verify(hash, password)

        monkeypatch.setattr(access, "verify", meanwhile)
        assert tried(ledger, password=PASSWORD, now=T0) == "SIGN_IN"
        with ledger.reading() as c:
            assert c.execute(sa.select(SESSION)).all() == []

    def test_every_change_is_in_the_audit(self, ledger: Ledger) -> None:
        does(ledger, users.set_role, "li", Role.ENGINEER)
        does(ledger, users.set_password, "li", "another password")
        does(ledger, users.disable, "li")
        does(ledger, users.enable, "li")
        with ledger.reading() as c:
            actions = [e.action for e in audit.latest(c, subject="user li")]
        assert actions == ["user.enable", "user.disable", "user.password", "user.role", "user.add"]


class TestSessions:
    def test_only_the_fingerprint_of_a_token_is_kept(self, ledger: Ledger) -> None:
        token = sign_in(ledger)
        assert len(token) >= 43
        with ledger.reading() as c:
            assert [row.token for row in c.execute(sa.select(SESSION.c.token))] == [access.fingerprint(token)]
            assert not any(token in e.detail for e in audit.entries(c))
        assert who(ledger, access.fingerprint(token)) is None

    def test_it_says_who_asks_and_what_they_may(self, ledger: Ledger) -> None:
        found = who(ledger, sign_in(ledger))
        assert found is not None
        assert (found.who, found.role) == ("li", Role.OPERATOR)
        assert [found.may(r) for r in (Right.ALARMS, Right.RULES)] == [True, False]
        assert who(ledger, "nonsense") is None
        assert who(ledger, "") is None

    def test_it_ends_when_it_is_not_used(self, ledger: Ledger) -> None:
        token = sign_in(ledger)
        assert who(ledger, token, T0 + IDLE - 1) is not None
        assert who(ledger, token, T0 + IDLE) is None

    def test_it_goes_on_while_it_is_used_but_not_past_its_end(self, ledger: Ledger) -> None:
        token = sign_in(ledger)
        for now in range(T0, T0 + LASTS, IDLE // 2):
            found = who(ledger, token, now)
            assert found is not None
            if found.stale(now):
                with ledger.transaction() as c:
                    users.touch(c, token, now=now)
        assert who(ledger, token, T0 + LASTS - 1) is not None
        assert who(ledger, token, T0 + LASTS) is None

    def test_it_ends_when_it_is_signed_out(self, ledger: Ledger) -> None:
        mine, other = sign_in(ledger), sign_in(ledger)
        with ledger.transaction() as c:
            users.sign_out(c, mine)
        assert who(ledger, mine) is None
        assert who(ledger, other) is not None

    def test_a_new_password_ends_all_but_the_one_that_made_it(self, ledger: Ledger) -> None:
        mine, other = sign_in(ledger), sign_in(ledger)
        does(ledger, users.set_password, "li", "another password", spare=mine)
        assert [who(ledger, t) is not None for t in (mine, other)] == [True, False]
        assert tried(ledger, password=PASSWORD, now=T0) == "SIGN_IN"
        assert tried(ledger, password="another password", now=T0) == "in"

    def test_another_role_begins_with_a_new_session(self, ledger: Ledger) -> None:
        token = sign_in(ledger)
        does(ledger, users.set_role, "li", Role.VIEWER)
        assert who(ledger, token) is None

    def test_those_that_ended_are_swept_away(self, ledger: Ledger) -> None:
        sign_in(ledger)
        sign_in(ledger, now=T0 + LASTS)
        with ledger.reading() as c:
            assert len(c.execute(sa.select(SESSION)).all()) == 1

    def test_an_old_hash_is_made_anew_when_its_password_is_seen(self, ledger: Ledger) -> None:
        from argon2 import PasswordHasher

        old = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
        with ledger.transaction() as c:
            c.execute(sa.update(ACCOUNT).where(ACCOUNT.c.name == "li").values(hash=old))
        sign_in(ledger)
        with ledger.reading() as c:
            hash = c.execute(sa.select(ACCOUNT.c.hash).where(ACCOUNT.c.name == "li")).scalar_one()
        assert hash != old
        assert not access.outdated(hash)


class TestGuessing:
    def test_wrong_is_wrong_whatever_was_wrong(self, ledger: Ledger) -> None:
        does(ledger, users.add, "wang", Role.VIEWER, PASSWORD)
        does(ledger, users.disable, "wang")
        said = set()
        for name, password in (("li", "wrong"), ("nobody", PASSWORD), ("wang", PASSWORD), ("", ""), ("li", "x" * 9999)):
            with pytest.raises(RefusedError) as refused:
                sign_in(ledger, name, password)
            said.add(str(refused.value))
        assert said == {Refusal.SIGN_IN.value}

    def test_it_takes_as_long_for_a_name_that_is_not_there(self, ledger: Ledger) -> None:
        took: dict[str, list[float]] = {"li": [], "nobody": []}
        for i in range(12):
            for name, times in took.items():
                begun = time.process_time()
                tried(ledger, name, now=T0 + i * DAY, address=f"10.0.1.{i}")
                times.append(time.process_time() - begun)
        there, nowhere = (min(times) for times in took.values())
        assert 0.6 < there / nowhere < 1.7  # without the hash it would be some 1:10

    def test_each_failure_past_the_free_ones_doubles_the_wait(self, ledger: Ledger) -> None:
        free = access.ACCOUNT_PATIENCE.free
        assert [tried(ledger, now=T0) for _ in range(free)] == ["SIGN_IN"] * free
        now = T0
        for wait in (1, 2, 4, 8):
            assert tried(ledger, password=PASSWORD, now=now + wait * SECOND - 1) == "WAIT"
            now += wait * SECOND
            assert tried(ledger, now=now) == "SIGN_IN"
        with pytest.raises(RefusedError, match="try again in 16 s"):
            sign_in(ledger, now=now)
        assert tried(ledger, password=PASSWORD, now=now + 16 * SECOND) == "in"
        assert tried(ledger, now=now + 17 * SECOND) == "SIGN_IN"

    def test_the_wait_has_a_bound_and_a_quiet_time_forgets(self, ledger: Ledger) -> None:
        now = T0
        for i in range(40):
            tried(ledger, now=now, address=f"10.0.2.{i}")
            now += 5 * MINUTE
        assert tried(ledger, password=PASSWORD, now=now) == "in"
        for i in range(9):
            tried(ledger, now=now + i * 5 * MINUTE, address=f"10.0.3.{i}")
        now += 8 * 5 * MINUTE + 2 * HOUR
        assert tried(ledger, now=now) == "SIGN_IN"
        assert tried(ledger, now=now) == "SIGN_IN"

    def test_a_name_that_is_not_there_waits_just_so(self, ledger: Ledger) -> None:
        said = [tried(ledger, "nobody", now=T0) for _ in range(6)]
        assert said == ["SIGN_IN"] * 5 + ["WAIT"]

    def test_one_address_cannot_try_many_names(self, ledger: Ledger) -> None:
        free = access.ADDRESS_PATIENCE.free
        said = [tried(ledger, f"name{i}", now=T0) for i in range(free + 1)]
        assert said == ["SIGN_IN"] * free + ["WAIT"]
        assert tried(ledger, password=PASSWORD, now=T0) == "WAIT"
        assert tried(ledger, password=PASSWORD, now=T0, address="10.0.0.8") == "in"

    def test_an_account_of_ones_own_does_not_wash_an_address_clean(self, ledger: Ledger) -> None:
        said = []
        for i in range(30):
            said.append(tried(ledger, f"name{i}", now=T0))
            tried(ledger, password=PASSWORD, now=T0)
        assert said.count("SIGN_IN") == access.ADDRESS_PATIENCE.free

    def test_many_at_once_gain_nothing(self, ledger: Ledger) -> None:
        with ThreadPoolExecutor(8) as pool:
            said = list(pool.map(lambda _: tried(ledger, now=T0), range(16)))
        assert said.count("SIGN_IN") == access.ACCOUNT_PATIENCE.free
        assert said.count("WAIT") == 16 - access.ACCOUNT_PATIENCE.free

    def test_what_was_typed_is_not_kept(self, ledger: Ledger) -> None:
        tried(ledger, "my secret typed for a name", now=T0)
        with ledger.reading() as c:
            kept = str([tuple(row) for table in (ATTEMPT, SESSION) for row in c.execute(sa.select(table))])
            kept += str(list(audit.entries(c)))
        assert "secret" not in kept

    def test_it_is_told_once_in_the_audit_and_old_failures_go(self, ledger: Ledger) -> None:
        now = T0
        for _ in range(8):
            tried(ledger, now=now)
            now += MINUTE
        with ledger.reading() as c:
            [entry] = audit.latest(c, action="user.guessed")
            assert "10.0.0.7" in entry.detail
        tried(ledger, "other", now=now + 2 * DAY)
        with ledger.reading() as c:
            assert len(c.execute(sa.select(ATTEMPT)).all()) == 2


class TestKiosk:
    def test_a_link_looks_until_it_is_revoked(self, ledger: Ledger) -> None:
        token = str(does(ledger, users.add_link, " lobby "))
        with ledger.transaction() as c:
            screen = users.kiosk(c, token)
            assert screen is not None
            assert (screen.who, screen.role, screen.ends) == ("lobby", None, None)
            assert {r for r in Right if screen.may(r)} == {Right.LOOK}
            assert not screen.stale(T0 + DAY)
            assert users.kiosk(c, token + "x") is None
            assert users.session(c, token, now=T0, idle=IDLE) is None
            assert [(link.id, link.name, link.by) for link in users.links(c)] == [(1, "lobby", "zhang")]
            assert [row.token for row in c.execute(sa.select(KIOSK.c.token))] == [access.fingerprint(token)]
        does(ledger, users.revoke_link, 1, at=T0 + 1)
        with ledger.transaction() as c:
            assert users.kiosk(c, token) is None
            assert users.links(c)[0].revoked == T0 + 1
            assert [e.action for e in audit.latest(c, subject="link 1")] == ["kiosk.revoke", "kiosk.add"]
        with pytest.raises(RefusedError, match="no kiosk link 1"):
            does(ledger, users.revoke_link, 1)

    def test_it_has_a_name(self, ledger: Ledger) -> None:
        with pytest.raises(RefusedError, match="Name the kiosk link"):
            does(ledger, users.add_link, " ")
