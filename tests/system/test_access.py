"""Who gets in and what they may, as an attacker would try it, on a real application with a real ledger."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from dashboards import node as nodes
from dashboards.app import build
from tests.zone import SMALL, T0
from twin import access
from twin.access import Role
from twin.clock import HOUR, MINUTE, ManualClock
from twin.ledger import users
from twin.settings import load
from twin.store.memory import MemoryStore

PASSWORD = "correct horse battery"
PAGE, STATE = "/devices", "/api/v1/scenarios"  # what a visitor may look at where anyone may
OPEN = ("/healthz", "/metrics", "/assets/css/door.css", "/sign-in", "/api/v1/session")
CHANGE = "/api/v1/session/password"


class House:
    """The application of a node, with an account of each role."""

    def __init__(self, folder: Path, look: str) -> None:
        settings = load(
            environ={"GAOXIN_DATA": str(folder), "GAOXIN_BROKER__PORT": "1", "GAOXIN_ACCESS__LOOK": look},
        )
        self.clock, self.file = ManualClock(T0), folder / "ledger.sqlite"
        self.node = nodes.Node(settings, SMALL, MemoryStore(SMALL), self.clock, ingest=False, engine=False)
        assert self.node.ledger is not None
        self.ledger = self.node.ledger
        with self.ledger.transaction() as c:
            for role in Role:
                users.add(c, f"the-{role}", role, PASSWORD, by="gaoxin", at=T0)
        self.app = build(self.node)

    def client(self, role: Role | None = None, scheme: str = "http") -> TestClient:
        made = TestClient(self.app, base_url=f"{scheme}://zone", follow_redirects=False)
        if role is not None:
            answer = made.post("/api/v1/session", json={"user": f"the-{role}", "password": PASSWORD})
            assert answer.status_code == 200, answer.text
            made.headers["X-CSRF-Token"] = answer.json()["csrf"]
        return made

    def screen(self) -> TestClient:
        """At a kiosk."""
        with self.ledger.transaction() as c:
            token = users.add_link(c, "hall", by="the-admin", at=T0)
        made = self.client()
        assert made.get(f"/kiosk/{token}").headers["location"] == "/"
        return made

    def break_ledger(self, broken: bool) -> None:
        old, new = ("account", "account_away") if broken else ("account_away", "account")
        with sqlite3.connect(self.file) as database:
            database.execute(f"ALTER TABLE {old} RENAME TO {new}")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Anyone may look: only each change's own check stands in the way."""
    made = House(tmp_path, "anyone")
    with TestClient(made.app):  # its parts start and stop with it
        yield made


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path, "signed-in")
    with TestClient(made.app):
        yield made


def looks(client: TestClient) -> bool:
    return client.get(STATE).status_code == 200


def who(client: TestClient) -> str | None:
    found: str | None = client.get("/api/v1/session").json()["who"]
    return found


class TestLooking:
    def test_where_it_needs_an_account_a_visitor_is_led_to_the_sign_in(self, closed: House) -> None:
        visitor = closed.client()
        led = visitor.get(f"{PAGE}?lang=en&which=a b")
        assert (led.status_code, led.headers["location"]) == (
            303,
            "/sign-in?next=/devices%3Flang%3Den%26which%3Da%2520b&lang=en",
        )
        for path in ("/", "/api/docs", "/access", "/password", "/nothing"):
            assert visitor.get(path).status_code == 303, path
        for path in (STATE, "/api/openapi.json", "/api/v1/nothing", "/_dash-layout", "/_dash-dependencies"):
            assert visitor.get(path).status_code == 401, path
        assert visitor.post("/_dash-update-component", json={}).status_code == 401
        for path in OPEN:
            assert visitor.get(path).status_code == 200, path

    @pytest.mark.parametrize(
        "path",
        ["/assets/../api/v1/scenarios", "//api/v1/scenarios", "/assets/%2e%2e/api/v1/scenarios", "/kiosk/x/../.."],
    )
    def test_no_spelling_of_a_path_gets_around_it(self, closed: House, path: str) -> None:
        answer = closed.client().get(path)
        assert answer.status_code in (303, 401, 404)
        assert "S01" not in answer.text

    @pytest.mark.parametrize("role", Role)
    def test_every_role_may_look(self, closed: House, role: Role) -> None:
        client = closed.client(role)
        assert looks(client)
        assert client.get(PAGE).status_code == 200

    def test_where_anyone_may_a_visitor_does(self, house: House) -> None:
        assert looks(house.client())
        assert house.client().get("/api/v1/session").json()["rights"] == ["look"]

    def test_no_page_can_be_laid_under_anothers_buttons(self, house: House) -> None:
        for path in ("/sign-in", "/healthz", STATE):
            headers = house.client(Role.VIEWER).get(path).headers
            assert headers["content-security-policy"] == "frame-ancestors 'self'"
            assert headers["x-content-type-options"] == "nosniff"


class TestTheCookie:
    @pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
    def test_no_script_reads_it_and_no_other_site_sends_it(self, house: House, scheme: str, secure: bool) -> None:
        form = {"user": "the-viewer", "password": PASSWORD}
        for answer in (
            house.client(scheme=scheme).post("/sign-in", data=form),
            house.client(scheme=scheme).post("/api/v1/session", json=form),
        ):
            flags = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
            assert {"httponly", "samesite=lax", "path=/"} <= flags
            assert ("secure" in flags) is secure
            assert not any(flag.startswith("domain") for flag in flags)

    def test_a_session_that_another_knows_is_not_taken_on(self, house: House) -> None:
        attacker = house.client(Role.VIEWER)
        planted = attacker.cookies["gaoxin_session"]
        victim = house.client()
        victim.cookies.set("gaoxin_session", planted, domain="zone.local")
        victim.headers["X-CSRF-Token"] = access.csrf_of(planted)
        answer = victim.post("/api/v1/session", json={"user": "the-admin", "password": PASSWORD})
        assert answer.cookies["gaoxin_session"] != planted
        assert who(attacker) is None

    def test_what_is_made_up_is_nobody(self, house: House) -> None:
        for value in ("x" * 43, "", "é", "a" * 100_000, '"', "gaoxin_session="):
            client = house.client()
            answer = client.get("/api/v1/session", headers={"Cookie": f"gaoxin_session={value}".encode()})
            assert (answer.status_code, answer.json()["who"]) == (200, None)


# Asked with a body, and nothing is changed: who may look may ask
QUESTIONS = {f"/api/v1/{what}" for what in ("rules/validate", "rules/backtest", "rules/values", "replay/rerun")}


class TestAChange:
    def ask(self, client: TestClient, **headers: str) -> tuple[int, str | None]:
        client.headers.pop("X-CSRF-Token", None)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = client.post(CHANGE, json={"password": "wrong", "new": "another password"}, headers=named)
        return answer.status_code, answer.json().get("reason")

    def test_it_needs_a_proof_that_it_is_ours(self, house: House) -> None:
        client, other = house.client(Role.ADMIN), house.client(Role.ADMIN)
        good, foreign = client.headers["X-CSRF-Token"], other.headers["X-CSRF-Token"]
        forged: list[dict[str, str]] = [
            {},
            {"X_CSRF_Token": foreign},
            {"X_CSRF_Token": ""},
            {"X_CSRF_Token": access.csrf_of("")},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://zone.evil.example"},
            {"Origin": "http://zone:8051"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site", "Origin": "http://zone"},
            {"Sec_Fetch_Site": "none"},
            {"Referer": "http://zone/access"},
        ]
        for headers in forged:
            assert self.ask(client, **headers) == (403, "forged"), headers
        proven: list[dict[str, str]] = [
            {"X_CSRF_Token": good},
            {"Origin": "http://zone"},
            {"Sec_Fetch_Site": "same-origin", "Origin": "http://behind.proxy"},
        ]
        for headers in proven:
            assert self.ask(client, **headers) == (401, "sign_in"), headers

    def test_a_program_may_sign_in_again_with_what_it_has_in_its_jar(self, house: House) -> None:
        client = house.client(Role.VIEWER)
        del client.headers["X-CSRF-Token"]
        again = client.post("/api/v1/session", json={"user": "the-operator", "password": PASSWORD})
        assert (again.status_code, again.json()["who"]) == (200, "the-operator")

    @pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/api/v1/session"])
    def test_another_site_can_sign_nobody_in_or_out(self, house: House, path: str) -> None:
        form = {"user": "the-viewer", "password": PASSWORD}
        for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = house.client().post(path, data=form, headers=headers)
            assert (answer.status_code, answer.headers.get("set-cookie")) == (403, None)

    def test_every_change_there_is_refuses_a_visitor_and_a_viewer(self, house: House) -> None:
        visitor, viewer = house.client(), house.client(Role.VIEWER)
        described = viewer.get("/api/openapi.json").json()
        asked = 0
        for path, methods in described["paths"].items():
            if path.startswith("/api/v1/session") or path in QUESTIONS:  # one's own; what changes nothing
                continue
            for method in methods.keys() - {"get"}:
                body = example(methods[method], described)
                for client, status in ((visitor, 401), (viewer, 403)):
                    answer = client.request(method, filled(path), json=body)
                    assert answer.status_code == status, (method, path, body, answer.text)
                asked += 1
        assert asked >= 25

    @pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.ENGINEER])
    def test_nobody_raises_themselves(self, house: House, role: Role) -> None:
        client = house.client(role)
        for path, body in (
            (f"/api/v1/users/the-{role}/role", {"role": "admin"}),
            ("/api/v1/users", {"name": "mallory", "role": "admin"}),
            ("/api/v1/users/the-admin/password", {"password": "mine from now on"}),
            ("/api/v1/kiosk", {"name": "mine"}),
        ):
            assert client.post(path, json=body).status_code == 403
        for path, allowed in (
            ("/api/v1/users", False),
            ("/api/v1/kiosk", False),
            ("/api/v1/audit", role == "engineer"),
        ):
            assert client.get(path).status_code == (200 if allowed else 403), path
        own = {"password": PASSWORD, "new": "another password", "role": "admin"}
        assert client.post(CHANGE, json=own).status_code == 422


def example(operation: dict[str, Any], described: dict[str, Any]) -> Any:
    """The least body that the description calls valid."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return None if content is None else _value(content["schema"], described)


def _value(schema: dict[str, Any], described: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _value(described["components"]["schemas"][schema["$ref"].rpartition("/")[2]], described)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return _value(schema[several][0], described)
    match schema.get("type"):
        case "object":
            wanted = schema.get("required", ())
            return {
                name: _value(part, described) for name, part in schema.get("properties", {}).items() if name in wanted
            }
        case "array":
            return [_value(schema["items"], described)] * max(1, schema.get("minItems", 1))
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return True
        case "null":
            return None
    return "x" * max(1, schema.get("minLength", 1))


def filled(path: str) -> str:
    said = {"{scenario}": "S01", "{do}": "play", "{kind}": "notes"}
    parts = [said.get(part, "1") if part.startswith("{") else part for part in path.split("/")]
    return "/".join(parts)


class TestTheEnd:
    def test_signing_out_ends_the_session_and_not_only_the_cookie(self, house: House) -> None:
        client = house.client(Role.VIEWER)
        token = client.cookies["gaoxin_session"]
        assert client.delete("/api/v1/session").status_code == 204
        thief = house.client()
        thief.cookies.set("gaoxin_session", token)
        assert who(thief) is None

    @pytest.mark.parametrize("act", ["disable", "role", "password"])
    def test_an_open_session_ends_with_what_is_done_to_its_account(self, house: House, act: str) -> None:
        operator, admin = house.client(Role.OPERATOR), house.client(Role.ADMIN)
        assert who(operator) == "the-operator"
        body = {"role": {"role": "viewer"}, "password": {}}.get(act)
        assert admin.post(f"/api/v1/users/the-operator/{act}", json=body).status_code == 200
        assert who(operator) is None

    def test_it_ends_unused_and_at_the_latest_in_the_evening(self, house: House) -> None:
        client = house.client(Role.VIEWER)
        for _ in range(13):
            house.clock.advance(59 * MINUTE)
            last = who(client)
        assert last is None
        client = house.client(Role.VIEWER)
        house.clock.advance(59 * MINUTE)
        assert who(client) == "the-viewer"
        house.clock.advance(HOUR)
        assert who(client) is None

    def test_the_last_admin_stays(self, house: House) -> None:
        admin = house.client(Role.ADMIN)
        assert admin.post("/api/v1/users/the-admin/disable").json()["reason"] == "last_admin"
        assert who(admin) == "the-admin"

    def test_ones_own_password_takes_the_old_one_and_ends_the_other_sessions(self, house: House) -> None:
        here, elsewhere = house.client(Role.VIEWER), house.client(Role.VIEWER)
        wrong = here.post(CHANGE, json={"password": "wrong", "new": "another password"})
        assert (wrong.status_code, wrong.json()["reason"]) == (401, "sign_in")
        assert here.post(CHANGE, json={"password": PASSWORD, "new": "short"}).json()["reason"] == "weak"
        assert here.post(CHANGE, json={"password": PASSWORD, "new": "another password"}).status_code == 204
        assert (who(here), who(elsewhere)) == ("the-viewer", None)


class TestAScreen:
    def test_it_looks_and_does_nothing_else_until_its_link_is_revoked(self, closed: House) -> None:
        screen, admin = closed.screen(), closed.client(Role.ADMIN)
        assert looks(screen)
        assert screen.get("/api/v1/session").json()["rights"] == ["look"]
        screen.headers["Origin"] = "http://zone"
        assert screen.post("/api/v1/scenarios/S01/play", json={}).status_code == 403
        assert screen.post(CHANGE, json={"password": PASSWORD, "new": "another password"}).status_code == 403
        [link] = admin.get("/api/v1/kiosk").json()["links"]
        assert "token" not in link
        assert admin.post(f"/api/v1/kiosk/{link['id']}/revoke").status_code == 200
        assert not looks(screen)

    def test_a_link_that_is_none_lets_nobody_in(self, closed: House) -> None:
        visitor = closed.client()
        for token in ("nonsense", "x" * 43, "%00", "é"):
            answer = visitor.get(f"/kiosk/{token}")
            assert (answer.status_code, answer.headers.get("set-cookie")) == (404, None)

    def test_who_signs_in_at_a_screen_is_who_signed_in(self, closed: House) -> None:
        screen = closed.screen()
        body = {"user": "the-operator", "password": PASSWORD}
        assert screen.post("/api/v1/session", json=body).status_code == 200
        assert who(screen) == "the-operator"


class TestTheForm:
    def test_it_leads_on_to_where_one_wanted(self, house: House) -> None:
        form = {"user": "the-viewer", "password": PASSWORD, "next": "/alarms?lang=zh#a-7"}
        assert house.client().post("/sign-in", data=form).headers["location"] == "/alarms?lang=zh#a-7"

    @pytest.mark.parametrize(
        "next",
        [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "javascript:alert(1)",
            "evil.example",
            "",
            "/ok\r\nSet-Cookie: a=b",
            "/é",
        ],
    )
    def test_it_leads_nowhere_else(self, house: House, next: str) -> None:
        client = house.client()
        answer = client.post("/sign-in", data={"user": "the-viewer", "password": PASSWORD, "next": next})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert 'name="next" value="/"' in client.get("/sign-in", params={"next": next}).text

    def test_what_is_typed_is_text(self, house: House) -> None:
        evil = '"><script>alert(1)</script>'
        client = house.client()
        for text in (
            client.get("/sign-in", params={"next": "/" + evil}).text,
            client.post("/sign-in", data={"user": evil, "password": "x", "next": "/"}).text,
        ):
            assert "<script>" not in text

    def test_a_wrong_password_is_said_in_the_readers_language(self, house: House) -> None:
        form = {"user": "the-viewer", "password": "wrong"}
        for lang, words in (("zh", "用户名或密码错误"), ("en", "User name or password is wrong")):
            answer = house.client().post(f"/sign-in?lang={lang}", data=form)
            assert (answer.status_code, words in answer.text) == (401, True)

    def test_guessing_is_made_to_wait_and_the_wait_is_said(self, house: House) -> None:
        client = house.client()
        said = [client.post("/sign-in", data={"user": "the-viewer", "password": str(i)}).status_code for i in range(7)]
        assert said == [401] * 5 + [429] * 2
        answer = client.post("/sign-in", data={"user": "the-viewer", "password": PASSWORD})
        assert (answer.status_code, "尝试" in answer.text) == (429, True)
        house.clock.advance(5 * MINUTE)
        assert client.post("/sign-in", data={"user": "the-viewer", "password": PASSWORD}).status_code == 303

    def test_a_form_without_end_is_not_read_to_it(self, house: House) -> None:
        assert house.client().post("/sign-in", data={"user": "x" * 100_000}).status_code == 413

    def test_the_password_page(self, house: House) -> None:
        client = house.client(Role.VIEWER)
        form = {"password": PASSWORD, "new": "another password", "again": "another passwort"}
        assert "两次输入的新密码不一致" in client.post("/password", data=form).text
        done = client.post("/password", data=form | {"again": "another password"})
        assert (done.status_code, "密码已修改" in done.text) == (200, True)
        assert urlsplit(house.client().get("/password").headers["location"]).path == "/sign-in"


class TestTheLedgerIsAway:
    @pytest.mark.parametrize("look", ["anyone", "signed-in"])
    def test_nobody_can_be_known_and_who_may_look_anyway_goes_on(self, look: str, tmp_path: Path) -> None:
        house = House(tmp_path, look)
        with TestClient(house.app):
            self.away(house, look == "anyone")

    def away(self, house: House, anyone: bool) -> None:
        viewer, operator, visitor = house.client(Role.VIEWER), house.client(Role.OPERATOR), house.client()
        house.break_ledger(True)
        for client in (viewer, operator):
            assert client.get(STATE).status_code == (200 if anyone else 503)
        assert visitor.get(STATE).status_code == (200 if anyone else 401)
        told = operator.post("/api/v1/scenarios/S01/play", json={})
        assert (told.status_code, "ledger" in told.json()["error"]) == (503, True)
        page = visitor.post("/sign-in", data={"user": "the-viewer", "password": PASSWORD})
        assert (page.status_code, "暂时不能登录" in page.text) == (503, True)
        house.break_ledger(False)
        assert who(operator) == "the-operator"


class TestTheAudit:
    def test_it_names_who_did_what(self, house: House) -> None:
        admin = house.client(Role.ADMIN)
        made = admin.post("/api/v1/users", json={"name": "李明", "role": "operator"}).json()
        assert house.client().post("/api/v1/session", json={"user": "李明", "password": made["password"]}).is_success
        entries = admin.get("/api/v1/audit", params={"limit": 2}).json()["entries"]
        assert [(e["by"], e["action"]) for e in entries] == [("李明", "user.sign-in"), ("the-admin", "user.add")]
        assert made["password"] not in str(admin.get("/api/v1/audit").json())
        verdict = admin.get("/api/v1/audit/verify").json()
        assert verdict["whole"] is True
        assert admin.get("/api/v1/audit/verify", params={"head": verdict["head"]}).json()["whole"] is True
        forged = f"{verdict['head'].partition(':')[0]}:{'0' * 64}"
        assert admin.get("/api/v1/audit/verify", params={"head": forged}).json()["whole"] is False
