"""Roles and rights, passwords, tokens and patience, without a ledger."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin import access
from twin.access import RIGHTS, Attempts, Patience, Right, Role, attempted, may, wait

SECOND = 1000


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        (Role.VIEWER, {Right.LOOK}),
        (Role.OPERATOR, {Right.LOOK, Right.ALARMS, Right.SILENCES, Right.DRILLS}),
        (Role.ENGINEER, {Right.LOOK, Right.ALARMS, Right.SILENCES, Right.DRILLS, Right.RULES, Right.AUDIT}),
        (Role.ADMIN, set(Right)),
    ],
)
def test_each_role_may_this_and_no_more(role: Role, rights: set[Right]) -> None:
    assert {right for right in Right if may(role, right)} == rights


def test_every_right_is_somebodys() -> None:
    assert set().union(*RIGHTS.values()) == set(Right)


def test_a_password_is_the_one_it_was() -> None:
    hash = access.hashed("正确的 horse")
    assert access.verify(hash, "正确的 horse")
    assert not access.verify(hash, "正确的 house")
    assert not access.verify(hash, "")
    assert not access.verify(None, "正确的 horse")
    assert not access.verify("no hash", "正确的 horse")
    assert not access.outdated(hash)


def test_what_is_made_up_is_random() -> None:
    assert len({access.made_token() for _ in range(100)}) == 100
    assert len({access.made_password() for _ in range(100)}) == 100
    assert not access.weak("admin", access.made_password())


def test_a_form_must_come_from_the_session_it_changes_something_for() -> None:
    one, other = access.made_token(), access.made_token()
    assert access.is_csrf_of(one, access.csrf_of(one))
    for wrong in (access.csrf_of(other), "", one, "高"):
        assert not access.is_csrf_of(one, wrong)


FEW = Patience(free=2, first=SECOND, longest=4 * SECOND, quiet=60 * SECOND)


def test_patience_by_the_clock() -> None:
    tried, waits = Attempts(), []
    for _ in range(6):
        tried = attempted(tried, FEW, 1_000_000)
        waits.append(wait(tried, FEW, 1_000_000))
    assert waits == [0, SECOND, 2 * SECOND, 4 * SECOND, 4 * SECOND, 4 * SECOND]
    assert wait(tried, FEW, 1_004_000) == 0
    assert attempted(tried, FEW, 1_060_000) == Attempts(1, 1_060_000)


@given(st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_wait_is_within_its_bound_and_runs_out(failures: int, last: int, later: int) -> None:
    tried = Attempts(failures, last)
    now = last + later
    held = wait(tried, FEW, now)
    assert 0 <= held <= FEW.longest
    assert wait(tried, FEW, now + held) == 0
