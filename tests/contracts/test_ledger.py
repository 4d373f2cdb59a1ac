"""The ledger on SQLite and on a real PostgreSQL: one writer, whole transactions, versions of rules."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tests.zone import T0
from twin.clock import DAY, HOUR, MINUTE
from twin.errors import LedgerError, RefusedError
from twin.ledger import METADATA, Ledger, audit, rules, simulated
from twin.ledger.tables import AUDIT, RULES
from twin.refusal import Refusal
from twin.rules import Rule, default_rules

BOOK = default_rules()[:3]
SECOND = 1000


def renamed(name: str, which: int = 0) -> tuple[Rule, ...]:
    """The book with one of its rules called something else."""
    made = list(BOOK)
    made[which] = msgspec.structs.replace(made[which], name=name)
    return tuple(made)


def commit(ledger: Ledger, book: tuple[Rule, ...], base: int, at: int = T0, author: str = "li") -> int:
    with ledger.transaction() as c:
        return rules.commit(c, book, author=author, reason="after the flood", base=base, at=at)


def together(*work: Callable[[], object]) -> list[object]:
    """Begin at the same moment; what each returned or raised."""
    gate = threading.Barrier(len(work))

    def one(do: Callable[[], object]) -> object:
        gate.wait(20)
        try:
            return do()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(one, work))


class TestForm:
    def test_the_migrations_lead_to_the_tables_of_today(self, ledger: Ledger) -> None:
        with ledger.transaction() as c:
            assert compare_metadata(MigrationContext.configure(c), METADATA) == []

    def test_processes_that_start_together_make_it_once(self, url: str) -> None:
        made = together(*[lambda: Ledger(url)] * 4)
        assert all(isinstance(m, Ledger) for m in made), made
        for m in made:
            assert isinstance(m, Ledger)
            m.close()

    def test_reading_cannot_write(self, ledger: Ledger) -> None:
        with pytest.raises(LedgerError, match=r"read-?only"), ledger.reading() as c:
            audit.append(c, by="li", at=T0, action="x", subject="y")
        with ledger.transaction() as c:
            audit.append(c, by="li", at=T0, action="x", subject="y")

    def test_reading_is_of_one_moment_and_waits_for_no_writer(self, ledger: Ledger) -> None:
        commit(ledger, BOOK, 0)
        with ledger.reading() as reader:
            assert rules.current(reader).version == 1
            with ledger.transaction() as writer:
                rules.commit(writer, renamed("x"), author="li", reason="r", base=1, at=T0)
                assert rules.current(reader).version == 1
            assert rules.current(reader).version == 1
        with ledger.reading() as reader:
            assert rules.current(reader).version == 2

    @pytest.mark.parametrize("table", ["rules", "transition", "audit"])
    def test_the_database_itself_guards_what_is_append_only(self, ledger: Ledger, table: str) -> None:
        commit(ledger, BOOK, 0)
        if table == "transition":
            row = "1, 'r', 1, 's', 1, 'raised', 1, 0, 1.0, 'value', :f, 1, NULL"
            with ledger.transaction() as c:
                c.execute(sa.text(f"INSERT INTO transition VALUES ({row})"), {"f": False})
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET at = 0"):
            with pytest.raises(LedgerError, match=f"{table} is append-only"), ledger.transaction() as c:
                c.execute(sa.text(statement))


class TestRules:
    def test_before_the_first_there_are_none(self, ledger: Ledger) -> None:
        with ledger.reading() as c:
            assert rules.current(c) == rules.EMPTY
            assert rules.in_force_at(c, T0) == rules.EMPTY
            assert rules.versions(c) == []

    def test_the_book_begins_once(self, ledger: Ledger) -> None:
        with ledger.transaction() as c:
            assert rules.begin(c, BOOK, at=T0).version == 1
            assert rules.begin(c, renamed("other"), at=T0).rules == BOOK
            assert [v.author for v in rules.versions(c)] == [rules.SYSTEM]

    def test_a_version_comes_back_as_it_was_saved(self, ledger: Ledger) -> None:
        assert commit(ledger, BOOK, 0, T0) == 1
        assert commit(ledger, renamed("高水位"), 1, T0 + 60 * SECOND) == 2
        with ledger.reading() as c:
            assert rules.current(c).rules == renamed("高水位")
            assert rules.at_version(c, 1).rules == BOOK
            assert [rules.in_force_at(c, T0 + s * SECOND).version for s in (-1, 0, 59, 60)] == [0, 1, 1, 2]
            newest = rules.versions(c)[0]
            assert (newest.version, newest.base, newest.author, newest.rules) == (2, 1, "li", 3)
            [entry] = audit.latest(c, action="rules.", limit=1)
            [change] = msgspec.json.decode(entry.detail)["changes"]
            assert (change["rule"], change["key"], change["after"]) == (BOOK[0].id, "name", "高水位")

    def test_who_began_before_another_saved_gets_the_difference_and_overwrites_nothing(self, ledger: Ledger) -> None:
        commit(ledger, BOOK, 0)
        commit(ledger, renamed("hers", 1), 1, author="wang")
        with pytest.raises(rules.Conflict) as conflict:
            commit(ledger, renamed("his", 0), 1, author="li")
        assert conflict.value.reason is Refusal.CONFLICT
        assert conflict.value.current.version == 2
        assert [(c.rule, c.key) for c in conflict.value.changes] == [(BOOK[1].id, "name")]
        with ledger.reading() as c:
            assert rules.current(c).rules == renamed("hers", 1)

    def test_of_editors_who_save_at_once_one_wins_and_the_others_are_told(self, url: str, ledger: Ledger) -> None:
        commit(ledger, BOOK, 0)
        editors = [Ledger(url) for _ in range(6)]
        said = together(*[lambda e=e, i=i: commit(e, renamed(f"by {i}"), 1) for i, e in enumerate(editors)])  # type: ignore[misc]
        for editor in editors:
            editor.close()
        assert [s for s in said if not isinstance(s, rules.Conflict)] == [2]
        assert all(s.current.version == 2 for s in said if isinstance(s, rules.Conflict))
        with ledger.reading() as c:
            assert len(rules.versions(c)) == 2

    def test_to_roll_back_is_a_new_version_equal_to_the_old(self, ledger: Ledger) -> None:
        commit(ledger, BOOK, 0)
        commit(ledger, renamed("a mistake"), 1)
        with ledger.transaction() as c:
            assert rules.roll_back(c, 1, author="li", reason="it was one", base=2, at=T0) == 3
        with ledger.reading() as c:
            assert rules.current(c).rules == BOOK
            assert [(v.version, v.restores) for v in rules.versions(c)] == [(3, 1), (2, None), (1, None)]

    def test_the_same_again_is_no_version(self, ledger: Ledger) -> None:
        assert commit(ledger, BOOK, 0) == 1
        assert commit(ledger, BOOK, 1) == 1

    @pytest.mark.parametrize(
        ("book", "reason", "refusal"),
        [(BOOK, "  ", Refusal.NO_REASON), ((BOOK[0], BOOK[0]), "why", Refusal.TWICE)],
    )
    def test_what_cannot_be_saved_is_refused(
        self, ledger: Ledger, book: tuple[Rule, ...], reason: str, refusal: Refusal
    ) -> None:
        with pytest.raises(RefusedError) as refused, ledger.transaction() as c:
            rules.commit(c, book, author="li", reason=reason, base=0, at=T0)
        assert refused.value.reason is refusal

    def test_an_old_version_that_is_not_there_is_named(self, ledger: Ledger) -> None:
        commit(ledger, BOOK, 0)
        with pytest.raises(RefusedError, match="no version 7 of the rules; the latest is 1"), ledger.reading() as c:
            rules.at_version(c, 7)

    def test_rules_of_another_program_are_named(self, ledger: Ledger) -> None:
        row = {"version": 1, "base": 0, "at": T0, "author": "li", "reason": "r", "rules": '[{"id": "a", "warp": 9}]'}
        with ledger.transaction() as c:
            c.execute(sa.insert(RULES).values(row))
        with pytest.raises(LedgerError, match=r"version 1, saved by li.*warp"), ledger.reading() as c:
            rules.current(c)


class TestAudit:
    def fill(self, ledger: Ledger, count: int = 5) -> audit.Verdict:
        with ledger.transaction() as c:
            for i in range(count):
                audit.append(
                    c, by="李四", at=T0 + i, action="alarm.comment", subject=f"alarm {i}", detail={"text": "好"}
                )
            return audit.verify(c)

    def unguarded(self, ledger: Ledger, *statements: str) -> None:
        """What one could do who owns the database: the guards are taken off first."""
        with ledger.transaction() as c:
            if ledger.engine.dialect.name == "sqlite":
                for verb in ("update", "delete"):
                    c.execute(sa.text(f"DROP TRIGGER audit_no_{verb}"))
            else:
                c.execute(sa.text("ALTER TABLE audit DISABLE TRIGGER ALL"))
            for statement in statements:
                c.execute(sa.text(statement))

    def test_a_chain_as_it_was_written_is_sound(self, ledger: Ledger) -> None:
        verdict = self.fill(ledger)
        assert (verdict.entries, verdict.broken, verdict.head[0]) == (5, None, 5)

    def test_an_entry_says_what_it_was_given(self, ledger: Ledger) -> None:
        self.fill(ledger)
        with ledger.reading() as c:
            [first, *_] = audit.entries(c)
            assert (first.number, first.by, first.previous) == (1, "李四", audit.START)
            assert msgspec.json.decode(first.detail) == {"text": "好"}
            assert [e.number for e in audit.entries(c, after=2, limit=2)] == [3, 4]
            assert [e.number for e in audit.latest(c, before=4, limit=2)] == [3, 2]
            assert audit.latest(c, by="nobody") == audit.latest(c, action="user.") == []
            assert [e.number for e in audit.latest(c, subject="alarm 2")] == [3]

    @pytest.mark.parametrize(
        ("statement", "broken", "why"),
        [
            ("""UPDATE audit SET "by" = 'wang' WHERE number = 3""", 3, "not as it was written"),
            ("UPDATE audit SET at = at + 1 WHERE number = 1", 1, "not as it was written"),
            ("UPDATE audit SET detail = '{}' WHERE number = 5", 5, "not as it was written"),
            ("UPDATE audit SET detail = 'no JSON' WHERE number = 5", 5, "not as it was written"),
            ("DELETE FROM audit WHERE number = 2", 3, "what was between is gone"),
            ("UPDATE audit SET hash = '0' WHERE number = 4", 4, "not as it was written"),
            ("UPDATE audit SET previous = '0' WHERE number = 4", 4, "does not follow"),
        ],
    )
    def test_the_first_entry_that_was_touched_is_named(
        self, ledger: Ledger, statement: str, broken: int, why: str
    ) -> None:
        self.fill(ledger)
        self.unguarded(ledger, statement)
        with ledger.reading() as c:
            verdict = audit.verify(c)
        assert verdict.broken == broken
        assert why in verdict.why

    def test_an_end_cut_off_and_a_chain_written_anew_show_against_a_head_that_was_kept(self, ledger: Ledger) -> None:
        kept = self.fill(ledger).head
        self.unguarded(ledger, "DELETE FROM audit WHERE number > 3")
        with ledger.transaction() as c:
            assert audit.verify(c).broken is None
            assert audit.verify(c, kept).broken == 4
        with ledger.transaction() as c:
            c.execute(sa.delete(AUDIT))
            for i in range(6):
                audit.append(c, by="wang", at=T0 + i, action="a", subject="s")
            assert audit.verify(c).broken is None
            assert audit.verify(c, kept).broken == 5

    def test_eight_writers_at_once_make_one_chain(self, url: str, ledger: Ledger) -> None:
        each = 15
        writers = [Ledger(url) for _ in range(8)]

        def write(writer: Ledger, who: int) -> None:
            for i in range(each):
                with writer.transaction() as c:
                    audit.append(c, by=f"w{who}", at=T0 + i, action="test", subject=str(i))

        said = together(*[lambda w=w, i=i: write(w, i) for i, w in enumerate(writers)])  # type: ignore[misc]
        for writer in writers:
            writer.close()
        assert said == [None] * 8
        with ledger.reading() as c:
            verdict = audit.verify(c)
            assert (verdict.entries, verdict.broken) == (8 * each, None)
            for who in range(8):
                mine = [e.subject for e in audit.entries(c) if e.by == f"w{who}"]
                assert mine == [str(i) for i in range(each)]


WRITER = """
import os, sys
from twin.ledger import Ledger, audit, rules
from twin.rules import default_rules
import msgspec
ledger = Ledger(sys.argv[1])
book = default_rules()[:3]
print("ready", flush=True)
for i in range(100000):
    with ledger.transaction() as c:
        new = msgspec.structs.replace(book[0], name=f"n{os.getpid()} {i}")  # another than before: else nothing is saved
        rules.commit(c, (new, *book[1:]), author="w", reason="r", base=rules.current(c).version, at=i)
        audit.append(c, by="w", at=i, action="second", subject=f"version {rules.current(c).version}")
    print("made", flush=True)
"""


def test_killed_in_the_middle_there_is_all_of_it_or_nothing(url: str) -> None:
    """Each transaction saves a version and audits it twice: after a kill -9 there are as many of each."""
    counts = []
    for moment in (0.05, 0.11, 0.17, 0.23):
        process = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert process.stdout.readline() == b"made\n"
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        ledger = Ledger(url)
        with ledger.transaction() as c:  # waits for the server to see that the writer is gone
            made = len(rules.versions(c))
            verdict = audit.verify(c)
            assert verdict.broken is None
            assert verdict.entries == 2 * made
            counts.append(made)
        ledger.close()
    assert counts == sorted(counts)
    assert counts[-1] > counts[0] > 0


class TestSimulated:
    def test_spans_that_touch_are_one_and_others_stay_apart(self, ledger: Ledger) -> None:
        with ledger.transaction() as c:
            for begin, end in ((0, 10), (60, 70), (11, 12), (30, 40), (65, 80)):
                simulated.mark(c, T0 + begin * MINUTE, T0 + end * MINUTE)
            simulated.mark(c, T0 + 31 * MINUTE, T0 + 32 * MINUTE)
            found = simulated.between(c, T0, T0 + HOUR + 1)
            assert [((b - T0) // MINUTE, (e - T0) // MINUTE) for b, e in found] == [(0, 12), (30, 40), (60, 80)]
            assert simulated.between(c, T0 + 40 * MINUTE, T0 + 60 * MINUTE) == []
            simulated.mark(c, T0 + 12 * MINUTE, T0 + 58 * MINUTE)
            assert simulated.between(c, T0, T0 + DAY) == [(T0, T0 + 80 * MINUTE)]
