"""The shell that empties the outbox: one thread a channel, each notice leased, sent through apprise, and settled.

apprise knows how each service is spoken to. What it does not do is done here:
- DingTalk, WeCom, Feishu and Lark answer 200 also to what they refuse, with the refusal in the body. apprise takes that
  for success; here the body counts (`_refusal`).
- A notice goes encrypted, to a host that an authority vouches for, and follows no redirection elsewhere; `plain` lifts
  that. This machine itself (loopback) needs no encryption.
- No address is ever logged or shown: each holds a secret. apprise's own log, which has them, is kept in and quoted from
  with every part of the address blotted out.
"""

import logging
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import unquote

import apprise
import msgspec
import requests

from twin import channels, meters
from twin.channels import blotted, masked
from twin.clock import SECOND, Clock, local
from twin.errors import LedgerError, NoticeError, SettingsError
from twin.ledger import Ledger, outbox
from twin.settings import Notices
from twin.standards import Level

log = logging.getLogger("gaoxin.notices")

POLL_S = 2  # another process may have written a notice
FIXED_HOSTS = ("dingtalk", "wecombot", "feishu", "lark")  # plug-ins of bots that say in the body what they refuse
_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|\[?::1\]?")
_ASSET = apprise.AppriseAsset(
    app_id="gaoxin-twin", app_desc="gaoxin-twin", secure_logging=True, http_redirects=False, storage_path=None
)
_TYPES = {
    Level.NONE: apprise.NotifyType.SUCCESS,
    Level.BLUE: apprise.NotifyType.INFO,
    Level.YELLOW: apprise.NotifyType.WARNING,
    Level.ORANGE: apprise.NotifyType.WARNING,
    Level.RED: apprise.NotifyType.FAILURE,
}


class Letter(NamedTuple):
    """What a channel is handed: the text, and what a program on the other end sorts and deduplicates by."""

    title: str
    body: str
    level: Level = Level.NONE
    key: str = ""
    reason: str = ""


class Outcome(NamedTuple):
    """`said`: in words, without any secret."""

    sent: bool
    said: str


class Line:
    """One channel's way out."""

    def __init__(self, name: str, url: str, *, timeout_s: float, plain: bool = False) -> None:
        """Raises SettingsError when apprise cannot use the URL, or when it is not safe; never shows it."""
        self.name, self._url = name, url
        self.shown = masked(url)
        with _overheard() as words:
            plugin = apprise.Apprise.instantiate(url, asset=_ASSET)
        if plugin is None:
            raise SettingsError(
                f"notices.channels: {name} ({self.shown}) is no address that apprise can use"
                f"{_quoted(blotted(' '.join(words), url))}. How each is written: https://github.com/caronc/apprise/wiki"
            )
        if not plain:
            _be_safe(name, self.shown, url, plugin)
        if "cto=" not in url and "rto=" not in url:
            plugin.socket_connect_timeout = plugin.socket_read_timeout = timeout_s
        self._plugin = plugin
        self._extras = dict(getattr(plugin, "payload_extras", {}))
        _listen(plugin)

    def send(self, letter: Letter) -> Outcome:
        """Hand it over, and say what became of it. One thread at a time."""
        if hasattr(self._plugin, "payload_extras"):
            extra = {"key": letter.key, "level": letter.level.name.lower(), "reason": letter.reason}
            self._plugin.payload_extras = extra | self._extras
        _heard.answer = None
        begun = time.monotonic()
        with _overheard() as words:
            try:
                taken = bool(
                    self._plugin.notify(body=letter.body, title=letter.title, notify_type=_TYPES[letter.level])
                )
            except Exception as error:  # a plug-in may raise whatever it likes; the notice must not be lost by it
                words.append(f"{type(error).__name__}: {error}")
                taken = False
        answer: requests.Response | None = _heard.answer
        refused = _refusal(answer) if answer is not None else ""
        took = f"{time.monotonic() - begun:.1f} s"
        if taken and not refused:
            return Outcome(True, f"taken in {took}")
        said = blotted(refused or " ".join(dict.fromkeys(words)) or "apprise does not say why", self._url)
        return Outcome(False, f"not taken after {took}: {said.rstrip('. ')}")


def lines(settings: Notices) -> dict[str, Line]:
    """The way out of each channel. Raises SettingsError naming the channel."""
    return {
        name: Line(name, url, timeout_s=settings.timeout_s, plain=settings.plain)
        for name, url in channels.addresses(settings).items()
    }


def test(line: Line, title: str, body: str) -> str:
    """Send one now, past the outbox. Returns what happened; raises NoticeError with what the channel answered."""
    outcome = line.send(Letter(title, body, key=f"test/{line.name}", reason="test"))
    if not outcome.sent:
        raise NoticeError(
            f"{line.name} ({line.shown}): {outcome.said}. "
            "Look at the address in GAOXIN_NOTICES__CHANNELS, and at what the service asks (key words, known hosts)"
        )
    return f"{line.name} ({line.shown}): {outcome.said}"


class Senders:
    """A thread for each channel, so that a slow one holds up no other. Several processes may run them on one ledger."""

    def __init__(
        self, ledger: Ledger, settings: Notices, clock: Clock, owner: str, *, lease_s: float | None = None
    ) -> None:
        """`owner`: a name that no other process has; `lease_s`: after which a notice is another's, by default longer
        than any try takes. Raises SettingsError as `lines` does."""
        self.ledger, self.clock, self.owner = ledger, clock, owner
        self.lines: Mapping[str, Line] = lines(settings)
        self._retry = outbox.Retry.of(settings)
        # a plug-in may make two calls, and keeps a pace between them
        self._lease = round((3 * settings.timeout_s + 15 if lease_s is None else lease_s) * SECOND)
        self._stop = threading.Event()
        self._news = {name: threading.Event() for name in self.lines}
        self._threads = [
            threading.Thread(target=self._run, args=(line,), name=f"notices-{name}", daemon=True)
            for name, line in self.lines.items()
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Something was written: do not wait for the next look."""
        for news in self._news.values():
            news.set()

    def stop(self, timeout_s: float = 10) -> None:
        """What is being sent is finished; the rest waits in the ledger."""
        self._stop.set()
        self.wake()
        end = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=max(0, end - time.monotonic()))

    def turn(self, line: Line) -> bool:
        """Send the next due notice of the channel. False when none is due. Raises LedgerError."""
        with self.ledger.transaction() as connection:
            notice = outbox.take(connection, line.name, self.owner, now=self.clock.now(), lease=self._lease)
        if notice is None:
            return False
        outcome = line.send(Letter(notice.title, notice.body, notice.level, notice.key, notice.reason))
        now = self.clock.now()
        with self.ledger.transaction() as connection:
            if outcome.sent:
                outbox.sent(connection, notice.id, now=now)
                log.info("notice %d to %s: %s", notice.id, line.name, outcome.said)
                meters.NOTICES.labels(line.name, "sent").inc()
                return True
            again = outbox.failed(connection, notice, now=now, error=outcome.said, retry=self._retry)
        fate = f"again at {local(again):%H:%M:%S}" if again else "given up: `gaoxin notify queue` shows it"
        log.warning("notice %d to %s, try %d: %s; %s", notice.id, line.name, notice.tries, outcome.said, fate)
        meters.NOTICES.labels(line.name, "failed" if again else "dead").inc()
        return True

    def _run(self, line: Line) -> None:
        news = self._news[line.name]
        while not self._stop.is_set():
            news.clear()
            try:
                while not self._stop.is_set() and self.turn(line):
                    pass
            except LedgerError as error:
                log.error("notices to %s wait: %s", line.name, error)
            except Exception:  # the channel must go on for weeks whatever one notice did
                log.exception("notices to %s: a turn failed; going on", line.name)
            news.wait(POLL_S)


def _be_safe(name: str, shown: str, url: str, plugin: apprise.NotifyBase) -> None:
    scheme = url.partition("://")[0].lower()
    host = str(getattr(plugin, "smtp_host", "") or plugin.host or "")
    if _LOOPBACK.fullmatch(host):
        return
    remedy = "or set notices.plain = true if you must"
    if not plugin.verify_certificate:
        raise SettingsError(
            f"notices.channels: {name} ({shown}) does not check who answers. Leave out verify=no, {remedy}"
        )
    open_schemes = plugin.protocol if isinstance(plugin.protocol, tuple | list | set) else (plugin.protocol,)
    if scheme in open_schemes and not plugin.secure:
        raise SettingsError(
            f"notices.channels: {name} ({shown}) would go unencrypted. Write {scheme}s:// for {scheme}://, {remedy}"
        )


# What apprise and the services say


class _Heard(threading.local):
    answer: requests.Response | None = None


_heard = _Heard()


class _Requests:
    """Stands where a plug-in has `requests`, and remembers the answer that the plug-in throws away."""

    def __getattr__(self, name: str) -> Any:
        return getattr(requests, name)

    def post(self, *arguments: Any, **named: Any) -> requests.Response:
        _heard.answer = None
        if named.get("params"):  # apprise 2.2 escapes DingTalk's signature twice, which DingTalk takes for another one
            named["params"] = {name: unquote(value) for name, value in named["params"].items()}
        _heard.answer = requests.post(*arguments, **named)
        return _heard.answer


def _listen(plugin: apprise.NotifyBase) -> None:
    module = sys.modules[type(plugin).__module__]
    if module.__name__.rpartition(".")[2] in FIXED_HOSTS and not isinstance(module.requests, _Requests):
        module.requests = _Requests()  # type: ignore[attr-defined]


def _refusal(answer: requests.Response) -> str:
    """What the bot's service refuses, in its own words; empty when it took the message."""
    try:
        said = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError:
        return f"HTTP {answer.status_code}, and not the answer of this service: is there a proxy between?"
    code = next((said[k] for k in ("errcode", "code", "StatusCode") if k in said), None)
    if answer.ok and code == 0:
        return ""
    words = next((said[k] for k in ("errmsg", "msg", "StatusMessage") if said.get(k)), "no reason given")
    return f"HTTP {answer.status_code}, refused with code {code}: {words}"


class _Overhearing(logging.Handler):
    """What apprise says in this thread."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.thread_id, self.words = threading.get_ident(), list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self.thread_id and record.levelno >= logging.WARNING:
            self.words.append(record.getMessage().strip())


@contextmanager
def _overheard() -> Iterator[list[str]]:
    handler = _Overhearing()
    apprise.logger.addHandler(handler)
    try:
        yield handler.words
    finally:
        apprise.logger.removeHandler(handler)


def _quoted(text: str) -> str:
    return f" ({text})" if text else ""


# Addresses are in what these two write, at whatever level the program itself logs
apprise.logger.propagate = False
apprise.logger.setLevel(logging.WARNING)
apprise.logger.addHandler(logging.NullHandler())
logging.getLogger("urllib3").setLevel(logging.WARNING)
