"""Notices as they leave: what each service would receive, what is made of its answer, and what survives a kill."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import apprise
import pytest

from ingest import senders
from ingest.senders import Letter, Line, Senders
from tests.keys import Keys
from tests.servers import wait_until
from tests.services import Mail, Web, here, mail, trust, web
from tests.told import POLICY, alarm
from tests.zone import T0
from twin.channels import Channel, blotted, masked
from twin.clock import SECOND, SystemClock
from twin.errors import NoticeError, SettingsError
from twin.ledger import Ledger, outbox, sqlite_url
from twin.ledger.outbox import State
from twin.notices import plan
from twin.settings import Notices
from twin.standards import Level
from twin.wording import Words

pytestmark = pytest.mark.server

DINGTALK, WECOM, FEISHU, LARK = "oapi.dingtalk.com", "qyapi.weixin.qq.com", "open.feishu.cn", "open.larksuite.com"
TITLE, BODY = "【红】冷通道过热 · 1排5柜3 35.2 ℃", "08:00 起\nhttps://twin.example.cn/alarms?alarm=7"
LETTER = Letter(TITLE, BODY, Level.RED, "duty/hot@d1/1", "first")
TOKEN, SECRET = "d0ngt0ken", "SEC5ecret"
ADDRESSES = {
    DINGTALK: f"dingtalk://{SECRET}@{TOKEN}/",
    WECOM: "wecombot://we-com-key",
    FEISHU: "feishu://fei-shu-token",
    LARK: "lark://lark-token",
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def robots(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Web]]:
    """Each robot's service by its host name, behind TLS with a certificate for that name."""
    monkeypatch.setattr(apprise.plugins.NotifyBase, "request_rate_per_sec", 0)  # the pace that it keeps between two
    with contextlib.ExitStack() as stack:
        made = {host: stack.enter_context(web(keys.issue(host))) for host in ADDRESSES}
        here(monkeypatch, {host: server.port for host, server in made.items()})
        trust(monkeypatch, keys)
        yield made


def line(url: str, name: str = "duty", *, timeout_s: float = 5, plain: bool = False) -> Line:
    return Line(name, url, timeout_s=timeout_s, plain=plain)


class TestRobots:
    """The payloads are those of the services' own documents; the servers are ours."""

    def test_dingtalk(self, robots: dict[str, Web]) -> None:
        outcome = line(ADDRESSES[DINGTALK]).send(LETTER)
        assert outcome.sent, outcome.said
        [got] = robots[DINGTALK].got
        assert (got.host, got.path) == (DINGTALK, "/robot/send")
        assert got.query["access_token"] == [TOKEN]
        assert abs(int(got.query["timestamp"][0]) - time.time() * 1000) < 60_000
        assert got.body["msgtype"] == "text"
        assert got.body["text"]["content"] == f"{TITLE}\r\n{BODY}"
        assert got.body["at"]["isAtAll"] is False

    def test_dingtalk_is_signed_as_it_asks(self, robots: dict[str, Web]) -> None:
        import base64
        import hashlib
        import hmac

        assert line(ADDRESSES[DINGTALK]).send(LETTER).sent
        query = robots[DINGTALK].got[0].query
        signed = hmac.new(SECRET.encode(), f"{query['timestamp'][0]}\n{SECRET}".encode(), hashlib.sha256).digest()
        assert query["sign"][0] == base64.b64encode(signed).decode()

    def test_wecom(self, robots: dict[str, Web]) -> None:
        assert line(ADDRESSES[WECOM]).send(LETTER).sent
        [got] = robots[WECOM].got
        assert (got.host, got.path, got.query) == (WECOM, "/cgi-bin/webhook/send", {"key": ["we-com-key"]})
        assert got.body == {"msgtype": "text", "text": {"content": f"{TITLE}\r\n{BODY}"}}

    def test_feishu(self, robots: dict[str, Web]) -> None:
        assert line(ADDRESSES[FEISHU]).send(LETTER).sent
        [got] = robots[FEISHU].got
        assert (got.host, got.path.rstrip("/")) == (FEISHU, "/open-apis/bot/v2/hook/fei-shu-token")
        assert got.body == {"msg_type": "text", "content": {"text": f"{TITLE}\r\n{BODY}"}}

    def test_lark(self, robots: dict[str, Web]) -> None:
        assert line(ADDRESSES[LARK]).send(LETTER).sent
        [got] = robots[LARK].got
        assert (got.host, got.path) == (LARK, "/open-apis/bot/v2/hook/lark-token")
        assert got.body["msg_type"] == "text"
        assert [part in got.body["content"]["text"] for part in (TITLE, BODY)] == [True, True]

    @pytest.mark.parametrize(
        ("host", "answer", "words"),
        [
            (DINGTALK, {"errcode": 310000, "errmsg": "keywords not in content"}, ["310000", "keywords not in content"]),
            (WECOM, {"errcode": 93000, "errmsg": "invalid webhook url"}, ["93000", "invalid webhook url"]),
            (FEISHU, {"code": 19024, "msg": "Key Words Not Found", "data": {}}, ["19024", "Key Words Not Found"]),
            (LARK, {"code": 9499, "msg": "Bad Request"}, ["9499", "Bad Request"]),
            (WECOM, "<html>please log in</html>", ["not the answer of this service"]),
            (FEISHU, {}, ["no reason given"]),
        ],
    )
    def test_what_is_refused_with_200_is_not_sent(
        self, robots: dict[str, Web], host: str, answer: object, words: list[str]
    ) -> None:
        robots[host].answers = [(200, answer)]
        outcome = line(ADDRESSES[host]).send(LETTER)
        assert len(robots[host].got) == 1
        assert not outcome.sent
        assert all(word in outcome.said for word in words), outcome.said

    @pytest.mark.parametrize("host", ADDRESSES)
    def test_an_older_answer_is_not_taken_for_this_one(self, robots: dict[str, Web], host: str) -> None:
        assert line(ADDRESSES[host]).send(LETTER).sent
        robots[host].close()
        assert not line(ADDRESSES[host]).send(LETTER).sent

    def test_who_is_not_vouched_for_gets_nothing(
        self, robots: dict[str, Web], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        trust(monkeypatch, Keys(tmp_path / "others"))
        for host, address in ADDRESSES.items():
            assert not line(address).send(LETTER).sent
            assert robots[host].got == []


class TestWebhook:
    def test_a_program_gets_text_and_what_it_sorts_by(self, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
        trust(monkeypatch, keys)
        with web(keys.issue("localhost")) as server:
            outcome = line(f"jsons://me:pass-word@localhost:{server.port}/hook/s3cret?+X-Key=k3y&:zone=高新").send(
                LETTER
            )
        assert outcome.sent, outcome.said
        [got] = server.got
        assert got.path == "/hook/s3cret"
        assert (got.headers["X-Key"], got.headers["User-Agent"]) == ("k3y", "gaoxin-twin")
        wanted = {"title": TITLE, "message": BODY, "type": "failure", "key": "duty/hot@d1/1", "level": "red"}
        assert wanted.items() <= got.body.items()
        assert (got.body["reason"], got.body["zone"]) == ("first", "高新")

    @pytest.mark.parametrize(
        ("answer", "word"), [((404, "no"), "404"), ((500, "no"), "500"), ((302, "http://127.0.0.1:9/else"), "302")]
    )
    def test_what_it_refuses_is_not_sent(self, answer: tuple[int, str], word: str) -> None:
        with web() as server:
            server.answers = [answer]
            outcome = line(f"json://127.0.0.1:{server.port}/hook").send(LETTER)
        assert not outcome.sent
        assert word in outcome.said

    def test_a_slow_one_is_given_up_in_time(self) -> None:
        with web() as server:
            server.slow = 3
            begun = time.monotonic()
            outcome = line(f"json://127.0.0.1:{server.port}/hook", timeout_s=0.3).send(LETTER)
            assert time.monotonic() - begun < 2
        assert not outcome.sent

    def test_one_line_sends_many(self) -> None:
        with web() as server:
            way = line(f"json://127.0.0.1:{server.port}/hook")
            for i in range(5):
                assert way.send(LETTER._replace(key=str(i))).sent
        assert [g.body["key"] for g in server.got] == list("01234")


class TestMail:
    def test_it_arrives_encrypted(self, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
        trust(monkeypatch, keys)
        with mail(keys.issue("localhost")) as server:
            outcome = line(_mailbox(server)).send(LETTER)
        assert outcome.sent, outcome.said
        [(to, message)] = server.got
        assert to == ["duty@example.cn"]
        assert message["Subject"] == TITLE
        assert message["From"].addresses[0].addr_spec == "twin@example.cn"
        part = message.get_body(("plain", "html"))
        assert part is not None
        assert "https://twin.example.cn/alarms?alarm=7" in part.get_content()
        assert server.encrypted == [True]

    def test_a_server_that_nobody_vouches_for_gets_nothing(
        self, keys: Keys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        trust(monkeypatch, Keys(tmp_path / "others"))
        with mail(keys.issue("localhost")) as server:
            assert not line(_mailbox(server)).send(LETTER).sent
        assert server.got == []

    def test_what_it_refuses_is_not_sent(self, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
        trust(monkeypatch, keys)
        with mail(keys.issue("localhost")) as server:
            server.refusal = "552 mailbox full"
            outcome = line(_mailbox(server)).send(LETTER)
        assert not outcome.sent
        assert server.got == []


def _mailbox(server: Mail) -> str:
    return f"mailtos://localhost:{server.port}?from=twin@example.cn&to=duty@example.cn"


class TestSecrets:
    URLS = (
        f"dingtalk://{SECRET}@{TOKEN}/",
        "jsons://me:pass-word@hooks.example.cn:8443/hook/s3cret?+X-Key=k3y-k3y",
        "mailtos://me%40x:pass-word@mail.example.cn?to=duty@example.cn",
        "wecombot://we-com-key",
    )
    SHOWN = ("dingtalk://…", "jsons://hooks.example.cn/…", "mailtos://mail.example.cn/…", "wecombot://…")
    PARTS = (SECRET, TOKEN, "pass-word", "s3cret", "k3y-k3y", "duty@example.cn", "we-com-key", "me%40x")

    @pytest.mark.parametrize(("url", "shown"), list(zip(URLS, SHOWN, strict=True)))
    def test_only_kind_and_host_are_shown(self, url: str, shown: str) -> None:
        assert masked(url) == shown

    @pytest.mark.parametrize("url", URLS)
    def test_what_is_quoted_has_none_of_it(self, url: str) -> None:
        said = blotted(f"cannot post to {url} ({unquote(url)}): " + " ".join(self.PARTS if "json" in url else ()), url)
        assert not any(part in said for part in self.PARTS if part in url)
        assert "cannot post to" in said

    BAD = ("dingtalk://no-such!token@@/", "nosuch://s3cret-path", "wecombot://s3cret-path!!", "jsons://")

    @pytest.mark.parametrize("url", BAD)
    def test_an_address_that_is_none_is_refused_without_being_shown(self, url: str) -> None:
        with pytest.raises(SettingsError, match=r"notices\.channels: duty") as error:
            line(url)
        assert not any(part in str(error.value) for part in ("s3cret", "no-such"))

    def test_the_log_has_no_address_however_much_it_says(self, robots: dict[str, Web]) -> None:
        """In a program of its own, as an installation runs it with --verbose."""
        script = f"""
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
from ingest.senders import Line, Letter
from twin.errors import SettingsError
for url in {[*ADDRESSES.values(), "json://127.0.0.1:9/s3cret-path", *self.BAD]!r}:
    try:
        print(Line("duty", url, timeout_s=1).send(Letter("t", "b")))
    except SettingsError as error:
        print("Refused", error)
"""
        found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
        assert (found.stdout.count("Outcome("), found.stdout.count("Refused")) == (5, 4), found.stdout + found.stderr
        parts = (TOKEN, SECRET, "we-com-key", "fei-shu-token", "lark-token", "s3cret-path", "no-such")
        assert not any(part in found.stdout + found.stderr for part in parts), found.stdout

    @pytest.mark.parametrize(
        "url",
        ["json://hooks.example.cn/x", "jsons://hooks.example.cn/x?verify=no", "mailto://mail.example.cn?from=a@b.cn"],
    )
    def test_unencrypted_or_unchecked_is_refused(self, url: str) -> None:
        with pytest.raises(SettingsError, match=r"notices\.plain"):
            line(url)
        assert line(url, plain=True).shown


# Through the outbox


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    yield made
    made.close()


def write(ledger: Ledger, count: int, channel: str = "duty") -> None:
    """So many notices, each of a group of its own, due at once."""
    cases = [alarm(i, group=f"g{i}") for i in range(count)]
    with ledger.transaction() as c:
        sends = plan(cases, [Channel(channel)], {}, now=T0 + 60 * SECOND, policy=POLICY).sends
        assert outbox.write(c, [(d, Words(f"title {d.group}", "body")) for d in sends], at=T0) == count


def counts(ledger: Ledger) -> dict[tuple[str, State], int]:
    with ledger.transaction() as c:
        return outbox.counts(c)


def settings(server: Web, **more: object) -> Notices:
    return Notices.model_validate({"channels": f"duty=json://127.0.0.1:{server.port}/hook", "timeout_s": 3} | more)


def test_what_is_written_is_sent_once(ledger: Ledger) -> None:
    with web() as server:
        write(ledger, 10)
        at_work = Senders(ledger, settings(server), SystemClock(), "one")
        at_work.start()
        wait_until(lambda: counts(ledger) == {("duty", State.SENT): 10}, "all are sent")
        at_work.stop()
    assert sorted(g.body["key"] for g in server.got) == sorted(f"duty/g{i}@d1/1" for i in range(10))


def test_a_service_that_is_away_gets_it_later(ledger: Ledger) -> None:
    with web() as server:
        server.answers = [(503, "away"), (503, "away"), (200, "ok")]
        write(ledger, 1)
        at_work = Senders(ledger, settings(server, retry_s=0.2), SystemClock(), "one")
        at_work.start()
        wait_until(lambda: counts(ledger) == {("duty", State.SENT): 1}, "it is sent")
        at_work.stop()
    assert len({g.body["key"] for g in server.got}) == 1
    assert len(server.got) == 3


def test_what_nobody_takes_is_given_up_and_says_why(ledger: Ledger) -> None:
    with web() as server:
        server.answers = [(410, "gone")]
        write(ledger, 1)
        at_work = Senders(ledger, settings(server, retry_s=0.1, tries=3), SystemClock(), "one")
        at_work.start()
        wait_until(lambda: counts(ledger) == {("duty", State.DEAD): 1}, "it is given up")
        at_work.stop()
    assert len(server.got) == 3
    with ledger.transaction() as c:
        [dead] = outbox.notices(c)
    assert "410" in dead.error


def test_a_slow_channel_holds_up_no_other(ledger: Ledger) -> None:
    with web() as slow, web() as quick:
        slow.slow = 2
        write(ledger, 3, "slow")
        write(ledger, 3, "duty")
        both = f"slow=json://127.0.0.1:{slow.port}/x duty=json://127.0.0.1:{quick.port}/x"
        at_work = Senders(ledger, settings(quick, channels=both), SystemClock(), "one")
        at_work.start()
        wait_until(lambda: counts(ledger).get(("duty", State.SENT)) == 3, "the quick ones are sent", 1.9)
        assert ("slow", State.SENT) not in counts(ledger)
        at_work.stop()


def test_two_processes_send_nothing_twice(ledger: Ledger, tmp_path: Path) -> None:
    with web() as server:
        server.slow = 0.01
        write(ledger, 60)
        both = [Child(tmp_path, server, name) for name in ("one", "two")]
        wait_until(lambda: counts(ledger) == {("duty", State.SENT): 60}, "all are sent")
        for child in both:
            child.end()
    assert Counter(Counter(g.body["key"] for g in server.got).values()) == {1: 60}


def test_a_kill_loses_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """kill -9 twelve times in the middle of a try: the service takes nothing from one who is gone before it answers.
    What was being sent comes again once its lease is over."""
    with web() as server:
        server.slow = 0.05
        write(ledger, 40)
        for n in range(12):
            child = Child(tmp_path, server, f"n{n}")
            enough = server.arrived + 1 + n % 3
            wait_until(lambda: server.arrived >= enough, "it sends")  # noqa: B023
            child.end(signal.SIGKILL)
        last = Child(tmp_path, server, "last")
        wait_until(lambda: counts(ledger) == {("duty", State.SENT): 40}, "all are sent")
        last.end()
    received = Counter(g.body["key"] for g in server.got)
    assert server.dropped >= 6, "the kills came in the middle"
    assert len(received) == 40
    assert sum(received.values()) <= 40 + 12, "only what a kill has interrupted comes twice"


class Child:
    """Senders in a process of their own, with a lease of two seconds."""

    SCRIPT = """
import sys, time
from ingest import senders
from twin.clock import SystemClock
from twin.ledger import Ledger, sqlite_url
from twin.settings import Notices
from pathlib import Path
_, file, channels, owner = sys.argv
made = senders.Senders(Ledger(sqlite_url(Path(file))), Notices(channels=channels), SystemClock(), owner, lease_s=2)
made.start()
time.sleep(120)
"""

    def __init__(self, folder: Path, server: Web, name: str) -> None:
        url = f"duty=json://127.0.0.1:{server.port}/hook"
        command = [sys.executable, "-c", self.SCRIPT, str(folder / "ledger.sqlite"), url, name]
        self.process = subprocess.Popen(command, env=dict(os.environ))

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait(20)


class TestCommand:
    def run(self, folder: Path, *words: str, channels: str = "") -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("GAOXIN_")}
        env = clean | {"GAOXIN_DATA": str(folder), "GAOXIN_NOTICES__CHANNELS": channels}
        command = [sys.executable, "-m", "dashboards", "-v", "notify", *words]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)

    def test_nothing_is_sent_where_nothing_is_set_up(self, tmp_path: Path) -> None:
        assert "nothing is sent" in self.run(tmp_path, "list").stdout
        done = self.run(tmp_path, "test", "duty")
        assert (done.returncode, "there is no channel 'duty'" in done.stderr) == (2, True)

    def test_a_channel_is_tried(self, tmp_path: Path) -> None:
        with web() as server:
            channels = f"duty=json://127.0.0.1:{server.port}/s3cret-path"
            done = self.run(tmp_path, "test", "duty", channels=channels)
            server.answers = [(403, "no")]
            refused = self.run(tmp_path, "test", "duty", channels=channels)
        assert (done.returncode, refused.returncode) == (0, 1), done.stderr + refused.stderr
        assert "taken in" in done.stdout
        assert all(word in refused.stderr for word in ("duty", "403", "GAOXIN_NOTICES__CHANNELS"))
        assert [g.body["title"] for g in server.got] == ["测试通知"] * 2
        for each in (done, refused):
            assert "s3cret-path" not in each.stdout + each.stderr

    def test_the_list_and_the_queue(self, tmp_path: Path, ledger: Ledger) -> None:
        write(ledger, 2)
        with ledger.transaction() as c:
            taken = outbox.take(c, "duty", "me", now=T0, lease=1)
            assert taken is not None
            outbox.failed(c, taken, now=T0, error="HTTP 500", retry=outbox.Retry(tries=1))
        channels = f"duty=dingtalk://{SECRET}@{TOKEN}/"
        listed = self.run(tmp_path, "list", channels=channels)
        assert "dingtalk://…" in listed.stdout
        assert "from yellow on" in listed.stdout
        queue = self.run(tmp_path, "queue", channels=channels)
        assert all(words in queue.stdout for words in ("given up after 1 tries", "HTTP 500", "waits", "title g"))
        assert "1 are tried again" in self.run(tmp_path, "queue", "--retry", channels=channels).stdout
        assert counts(ledger) == {("duty", State.WAITING): 2}
        assert not any(
            part in text for part in (SECRET, TOKEN) for text in (listed.stdout, listed.stderr, queue.stdout)
        )


def test_a_try_that_fails_says_what_was_answered() -> None:
    with web() as server:
        server.answers = [(401, json.dumps({"who": "are you"}))]
        with pytest.raises(NoticeError, match=r"duty \(json://127\.0\.0\.1/…\): not taken after .*401"):
            senders.test(line(f"json://127.0.0.1:{server.port}/hook"), "t", "b")
