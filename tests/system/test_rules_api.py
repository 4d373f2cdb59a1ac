"""The rulebook over HTTP, on a real application with a ledger; people sign in as they do, and act by their rights."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from dashboards import node as nodes
from dashboards import opening
from dashboards.app import build
from dashboards.auth import COOKIE
from tests.zone import T0
from twin.access import Role, csrf_of
from twin.clock import DAY, HOUR, MINUTE, ManualClock
from twin.ledger import rules as kept
from twin.ledger import truth, users
from twin.observation import Observation
from twin.rules import default_rules, from_toml
from twin.settings import load
from twin.standards import Level
from twin.store.memory import MemoryStore
from twin.truth import Truth

NOW = T0 + 2 * DAY
REGISTRY = opening.read_registry(load(environ={}))
AIR = next(d for d in REGISTRY if d.kind == "air-station")
PASSWORD = "a-long-enough-word"
RULES = "/api/v1/rules"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> nodes.Node:
    """An hour of much dust on the second day, at one station."""
    settings = load(environ={"GAOXIN_DATA": str(tmp_path_factory.mktemp("data")), "GAOXIN_BROKER__PORT": "1"})
    store = MemoryStore(REGISTRY)
    dusty = range(NOW - 5 * HOUR, NOW - 3 * HOUR)
    store.write([Observation(AIR.id, t, {"pm25": 140.0 if t in dusty else 40.0}, t) for t in range(T0, NOW, MINUTE)])
    made = nodes.Node(settings, REGISTRY, store, ManualClock(NOW), ingest=False, engine=False)
    assert made.ledger is not None
    fact = Truth("run", "S02", "Dust", (AIR.id,), NOW - 5 * HOUR, NOW - 3 * HOUR, Level.YELLOW)
    with made.ledger.transaction() as connection:
        kept.begin(connection, default_rules(), at=T0)
        truth.record(connection, "run", [fact])
        for name, role in (("engineer", Role.ENGINEER), ("other", Role.ENGINEER), ("viewer", Role.VIEWER)):
            users.add(connection, name, role, PASSWORD, by="test", at=T0)
    return made


@pytest.fixture(scope="module")
def application(node: nodes.Node) -> Iterator[TestClient]:
    with TestClient(build(node)) as made:
        yield made


@pytest.fixture
def visitor(application: TestClient) -> TestClient:
    application.cookies.clear()
    application.headers.pop("X-CSRF-Token", None)
    return application


def as_(client: TestClient, node: nodes.Node, name: str) -> TestClient:
    assert node.ledger is not None
    token = users.sign_in(node.ledger, name, PASSWORD, address="127.0.0.1", now=node.clock.now(), lasts=DAY)
    client.cookies.clear()
    client.cookies.set(COOKIE, token)
    client.headers["X-CSRF-Token"] = csrf_of(token)
    return client


@pytest.fixture
def engineer(application: TestClient, node: nodes.Node) -> Iterator[TestClient]:
    yield as_(application, node, "engineer")
    application.cookies.clear()


def book(client: TestClient) -> Json:
    found: Json = client.get(RULES).json()
    return found


def rule(client: TestClient, id: str = "air-pm25", **thresholds: float) -> Json:
    [found] = [r for r in book(client)["rules"] if r["id"] == id]
    found["when"] = [found["when"][0] | thresholds, *found["when"][1:]]
    return dict(found)


def with_rule(client: TestClient, changed: Json) -> list[Json]:
    return [changed if r["id"] == changed["id"] else r for r in book(client)["rules"]]


def save(client: TestClient, changed: Json, reason: str = "the plan says so", base: int | None = None) -> Any:
    base = book(client)["version"] if base is None else base
    return client.put(RULES, json={"rules": with_rule(client, changed), "base": base, "reason": reason})


def test_the_book_in_force_and_how_it_reads(visitor: TestClient) -> None:
    found = visitor.get(RULES, params={"lang": "zh"}).json()
    assert len(found["rules"]) == len(default_rules())
    assert found["texts"]["PM2.5 high"] == "PM2.5 偏高"
    assert visitor.get(RULES, params={"version": 99}).status_code == 404


def test_what_a_change_would_have_done(visitor: TestClient) -> None:
    changed = rule(visitor, blue=160, yellow=200, red=300)
    found = visitor.post(f"{RULES}/backtest", json={"rule": changed, "days": 2}).json()
    assert (found["old"]["alarms"], found["new"]["alarms"]) == (1, 0)
    assert (found["changes"]["gone"], found["changes"]["new"]) == (1, 0)
    assert (found["begin"], found["end"]) == (NOW - 2 * DAY, NOW)
    assert [(p["subject"], p["changes"]) for p in found["list"]] == [(AIR.id, ["gone"])]
    # An hour of it until it is told, an hour until it clears
    began = NOW - 4 * HOUR
    assert found["lanes"]["subject"][0]["old"] == [[began, NOW - 2 * HOUR, 1]]
    [fact] = found["facts"]
    assert (fact["old"], fact["new"], found["beside"]) == (HOUR, None, [0, 0])


def test_a_range_may_be_named_and_another_version_held_against(engineer: TestClient) -> None:
    times = {"from": NOW - 4 * HOUR - 30 * MINUTE, "to": NOW - 3 * HOUR}
    body = {"rule": rule(engineer, blue=120), **times}
    found = engineer.post(f"{RULES}/backtest", json=body).json()
    assert (found["begin"], found["end"]) == (times["from"], times["to"])
    assert found["old"]["alarms"] == found["new"]["alarms"] == 1
    assert engineer.post(f"{RULES}/backtest", json=body | {"against": 99}).status_code == 404
    fresh = engineer.post(f"{RULES}/backtest", json=body | {"of": "no-such-rule"}).json()
    assert (fresh["old"]["alarms"], fresh["new"]["alarms"]) == (0, 1)


def test_the_values_that_a_condition_compares(visitor: TestClient) -> None:
    found = visitor.post(f"{RULES}/values", json={"rule": rule(visitor), "days": 2}).json()
    assert (found["device"], found["unit"]) == (AIR.id, "ug/m3")
    assert max(found["values"]) == 140
    assert found["devices"][0] == {"id": AIR.id, "name": AIR.name, "alarms": 1}
    assert found["end"] - found["begin"] == DAY


@pytest.mark.parametrize("path", ["backtest", "values"])
def test_a_rule_that_is_wrong_is_not_tried(visitor: TestClient, path: str) -> None:
    answer = visitor.post(f"{RULES}/{path}?lang=zh", json={"rule": rule(visitor, blue=400)})
    assert answer.status_code == 422
    [problem] = answer.json()["problems"]
    assert problem["key"] == "when.1"
    assert "顺序" in problem["text"]
    assert not problem["short"].startswith("when")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"days": 0, "from": NOW, "to": NOW - 1}, "from"),
        ({"days": 1000}, "days"),
        ({"from": "yesterday"}, "from"),
        ({"colour": "red"}, "colour"),
        ({"rule": {"id": "x"}}, "name"),
        ({"from": 99**99}, "92 days"),
    ],
)
def test_a_wrong_question_is_told_what_was_wrong(visitor: TestClient, body: Json, words: str) -> None:
    answer = visitor.post(f"{RULES}/backtest", json={"rule": rule(visitor)} | body)
    assert (answer.status_code, words in answer.json()["error"]) == (422, True), answer.text


def test_an_engineer_saves_with_a_reason(engineer: TestClient) -> None:
    before = book(engineer)["version"]
    answer = save(engineer, rule(engineer, blue=118))
    assert answer.json() == {"version": before + 1}
    newest = engineer.get(f"{RULES}/versions").json()["versions"][0]
    assert (newest["version"], newest["author"], newest["reason"]) == (before + 1, "engineer", "the plan says so")
    difference = engineer.get(f"{RULES}/diff", params={"from": before, "to": before + 1, "lang": "zh"}).json()
    [change] = difference["changes"]
    assert (change["rule"], change["key"], change["after"]) == ("air-pm25", "when.1.blue", 118.0)
    assert change["label"] == "条件 · 1 · 蓝"


def test_no_reason_no_version(engineer: TestClient) -> None:
    answer = save(engineer, rule(engineer, blue=117), reason=" ")
    assert (answer.status_code, answer.json()["reason"]) == (422, "no_reason")


def test_a_wrong_rule_is_not_saved_and_each_problem_names_its_place(engineer: TestClient) -> None:
    before = book(engineer)["version"]
    wrong = rule(engineer, blue=-5) | {"name": " ", "schedule": [{"start": "25:00"}]}
    answer = save(engineer, wrong)
    assert answer.status_code == 422
    assert [p["key"] for p in answer.json()["problems"]] == ["name", "when.1.blue", "schedule.1.start"]
    assert book(engineer)["version"] == before


def test_the_second_editor_gets_the_difference(engineer: TestClient, node: nodes.Node) -> None:
    base = book(engineer)["version"]
    mine = rule(engineer, red=260)
    assert save(as_(engineer, node, "other"), rule(engineer, yellow=152)).status_code == 200
    answer = save(as_(engineer, node, "engineer"), mine, base=base)
    assert answer.status_code == 409
    body = answer.json()
    assert (body["reason"], body["base"], body["current"]) == ("conflict", base, base + 1)
    assert [(c["rule"], c["key"], c["after"]) for c in body["changes"]] == [("air-pm25", "when.1.yellow", 152.0)]
    assert rule(engineer)["when"][0]["yellow"] == 152, "nothing was overwritten"


def test_to_roll_back_is_a_version_of_its_own(engineer: TestClient) -> None:
    save(engineer, rule(engineer, blue=119))
    now = book(engineer)["version"]
    answer = engineer.post(f"{RULES}/rollback", json={"version": 1, "base": now, "reason": "it was better"})
    assert answer.json() == {"version": now + 1}
    assert rule(engineer)["when"][0]["blue"] == 115
    newest = engineer.get(f"{RULES}/versions").json()["versions"][0]
    assert (newest["restores"], newest["reason"]) == (1, "it was better")
    stale = engineer.post(f"{RULES}/rollback", json={"version": 2, "base": now, "reason": "again"})
    assert (stale.status_code, stale.json()["reason"]) == (409, "conflict")


@pytest.mark.parametrize(("who", "status", "reason"), [("", 401, "sign_in_first"), ("viewer", 403, "may_not")])
def test_who_may_not_is_refused_and_changes_nothing(
    visitor: TestClient, node: nodes.Node, who: str, status: int, reason: str
) -> None:
    client = as_(visitor, node, who) if who else visitor
    before = book(client)["version"]
    for answer in (
        save(client, rule(client, blue=111)),
        client.post(f"{RULES}/rollback", json={"version": 1, "base": before, "reason": "r"}),
    ):
        assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert book(client)["version"] == before
    tried = client.post(f"{RULES}/backtest", json={"rule": rule(client, blue=111), "days": 1})
    assert tried.status_code == 200, "looking is for everyone"


def test_toml_goes_out_and_comes_back(engineer: TestClient) -> None:
    answer = engineer.get(f"{RULES}/export")
    assert "attachment" in answer.headers["content-disposition"]
    text = answer.text
    now = book(engineer)["version"]
    assert len(from_toml(text)) == len(book(engineer)["rules"])
    looked = engineer.post(f"{RULES}/validate", json={"toml": text.replace("blue = 115", "blue = 112")}).json()
    assert (looked["base"], looked["current"], looked["problems"]) == (now, now, [])
    assert [(c["key"], c["after"]) for c in looked["changes"]] == [("when.1.blue", 112.0)]
    saved = engineer.put(RULES, json={"rules": looked["rules"], "base": looked["base"], "reason": "from a file"})
    assert saved.json() == {"version": now + 1}
    wrong = engineer.post(f"{RULES}/validate", json={"toml": "[rule]"})
    assert (wrong.status_code, "[[rule]]" in wrong.json()["error"]) == (422, True)


def test_what_does_not_fit_into_memory_is_told(visitor: TestClient) -> None:
    everything = rule(visitor, "gateway-silent")
    answer = visitor.post(f"{RULES}/backtest", json={"rule": everything, "days": 90})
    assert (answer.status_code, answer.json()["reason"]) == (422, "too_much")


def test_the_page_says_who_may_save(visitor: TestClient, node: nodes.Node) -> None:
    from dashboards import auth
    from dashboards.pages import rules as page

    assert auth.caller() is None
    made = str(page.layout("zh"))
    assert "保存需以“管理”角色登录" in made
    assert "data-may-save=''" in made
