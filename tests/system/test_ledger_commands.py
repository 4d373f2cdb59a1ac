"""Rules, accounts and the audit from the command line, as an engineer types them."""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dashboards.cli import app
from twin.ledger import Ledger, rules, sqlite_url, users
from twin.rules import default_rules, to_toml

Run = Callable[..., Result]
BOOK = default_rules()[:2]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GAOXIN_DATA", str(tmp_path))

    def do(*arguments: str, exit_code: int = 0, typed: str | None = None) -> Result:
        result = CliRunner().invoke(app, arguments, input=typed)
        assert result.exit_code == exit_code, result.output
        return result

    return do


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "rules.toml"
    made.write_text(to_toml(BOOK), encoding="utf-8")
    return made


def rename(file: Path, name: str) -> None:
    """As in an editor: the first rule is called something else."""
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r'^name = ".*"$', f'name = "{name}"', text, count=1, flags=re.M), encoding="utf-8")


def test_a_dry_run_says_what_would_change_and_changes_nothing(run: Run, file: Path) -> None:
    said = run("rules", "apply", str(file), "--dry-run").output
    assert all(rule.id in said for rule in BOOK)
    assert "nothing is changed: version 0" in said
    assert "version 0, 0 rules" in run("rules", "list").output


def test_export_change_apply_and_back(run: Run, file: Path) -> None:
    run("rules", "apply", str(file), "--reason", "the first")
    assert f"version 1, {len(BOOK)} rules" in run("rules", "list").output
    file.write_text(run("rules", "export").stdout, encoding="utf-8")
    assert "no difference" in run("rules", "apply", str(file), "--reason", "nothing").output
    rename(file, "渭河超警")
    said = run("rules", "apply", str(file), "--reason", "汛期", "--author", "li").output
    assert "渭河超警" in said
    assert "version 2 is in force" in said
    assert "version 3 is in force" in run("rules", "rollback", "1", "--reason", "a mistake").output
    history = run("rules", "history").output.splitlines()
    assert [line.split()[0] for line in history] == ["3", "2", "1"]
    assert history[0].endswith("a mistake  (version 1 again)")
    assert "li: 汛期" in history[1]
    assert (
        run("rules", "export", "--version", "1").stdout.replace("version 1", "version 3")
        == run("rules", "export").stdout
    )


def test_who_changed_an_older_export_is_told_what_others_changed(run: Run, file: Path) -> None:
    run("rules", "apply", str(file), "--reason", "the first")
    mine = file.with_name("mine.toml")
    exported = run("rules", "export").stdout
    for path, name in ((file, "theirs"), (mine, "mine")):
        path.write_text(exported, encoding="utf-8")
        rename(path, name)
    run("rules", "apply", str(file), "--reason", "theirs")
    refused = run("rules", "apply", str(mine), "--reason", "mine", exit_code=1).output
    assert "changed by others since version 1" in refused
    assert "theirs" in refused.partition("changed by others")[2]
    assert "theirs" in run("rules", "list").output
    run("rules", "apply", str(mine), "--reason", "mine, having seen theirs", "--base", "2")
    assert "mine" in run("rules", "list").output


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (("rules", "apply", "nowhere.toml", "--reason", "r"), 2, "nowhere.toml: cannot be read"),
        (("rules", "apply", "rules.toml"), 1, "Say why"),
        (("rules", "rollback", "7", "--reason", "r"), 1, "no version 7 of the rules; the latest is 0"),
        (("rules", "export", "--version", "3"), 1, "no version 3"),
        (("user", "disable", "nobody"), 1, "no active user nobody"),
        (("user", "add", "a b"), 1, "a b is no user name"),
        (("audit", "verify", "--head", "nonsense"), 2, "is like 41:"),
    ],
)
def test_what_cannot_be_is_said(run: Run, file: Path, arguments: tuple[str, ...], exit_code: int, words: str) -> None:
    assert words in run(*arguments, exit_code=exit_code).output


def test_a_file_that_is_no_rulebook_is_named(run: Run, file: Path) -> None:
    file.write_text("[[rule]]\nwarp = 9\n", encoding="utf-8")
    assert "warp" in run("rules", "apply", str(file), "--reason", "r", exit_code=2).output


def test_accounts(run: Run, tmp_path: Path) -> None:
    said = run("user", "add", "li", "--role", "operator").output
    password = said.split()[-1]
    url = sqlite_url(tmp_path / "ledger.sqlite")
    ledger = Ledger(url)
    assert users.sign_in(ledger, "li", password, address="::1", now=1, lasts=1000)
    run("user", "password", "li", "--ask", typed="another password\nanother password\n")
    assert users.sign_in(ledger, "li", "another password", address="::1", now=2, lasts=1000)
    ledger.close()
    run("user", "disable", "li")
    assert re.search(r"^li +operator .* disabled ", run("user", "list").output, flags=re.M)
    run("user", "enable", "li")
    assert "disabled" not in run("user", "list").output
    shown = run("audit", "show", "--action", "user.").output
    assert password not in shown
    assert list(re.findall(r"user\.[\w-]+", shown)) == [
        "user.add",
        "user.sign-in",
        "user.password",
        "user.sign-in",
        "user.disable",
        "user.enable",
    ]


def test_the_audit_is_verified_and_what_was_touched_is_named(run: Run, file: Path, tmp_path: Path) -> None:
    run("rules", "apply", str(file), "--reason", "the first")
    run("user", "add", "li")
    said = run("audit", "verify").output
    assert "2 entries, all as they were written" in said
    head = said.split()[-1]
    run("user", "add", "wang")
    run("audit", "verify", "--head", head)
    lines = run("audit", "show", "--all").stdout.splitlines()
    assert len(lines) == 3
    with sqlite3.connect(tmp_path / "ledger.sqlite") as database:
        database.execute("DROP TRIGGER audit_no_update")
        database.execute("UPDATE audit SET at = 0 WHERE number = 2")
    assert "broken at entry 2" in run("audit", "verify", exit_code=1).output


def test_the_book_that_ships_is_one_the_ledger_keeps(tmp_path: Path) -> None:
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    with ledger.transaction() as c:
        assert rules.begin(c, default_rules(), at=1).rules == default_rules()
    ledger.close()
