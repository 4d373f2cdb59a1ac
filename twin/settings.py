"""Typed settings: one `gaoxin.toml`, `GAOXIN_…` in the environment over it, secrets in the environment only.

A nested key is written `[web] port = 8050` in the file and `GAOXIN_WEB__PORT=8050` in the environment. An unknown key
or a bad value stops the start: the message names the key, the value and what is allowed.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from twin.errors import SettingsError

PREFIX = "GAOXIN_"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Broker(Section):
    kind: Literal["auto", "mosquitto", "amqtt", "outside"] = Field(
        "auto",
        description="auto: Mosquitto if it is installed, else the embedded amqtt; outside: one you run yourself",
    )
    host: str = Field("127.0.0.1", description="where clients find the broker")
    port: int = Field(1883, ge=0, le=65535, description="its port; 0 lets `gaoxin up` choose a free one")
    user: str = Field("", description="user name, empty for none")
    password: SecretStr = Field(SecretStr(""), description="password; environment only")
    prefix: str = Field("gaoxin/v1", pattern=r"^[^#+\s]+[^#+\s/]$", description="first part of every topic")
    tls: bool = Field(False, description="encrypt the connection; by itself with the system's authorities")
    ca: Path | None = Field(None, description="file of the authority that signed the broker's certificate (PEM)")
    certificate: Path | None = Field(None, description="file of the client's own certificate (PEM), where one is asked")
    key: Path | None = Field(None, description="file of its private key (PEM), readable by this account only")


class Store(Section):
    kind: Literal["duckdb", "influx", "memory"] = Field(
        "duckdb", description="duckdb: a file in the data folder; influx: a server; memory: gone at the end"
    )
    memory_mb: int = Field(128, ge=64, description="most MiB that DuckDB takes for its cache and its work")
    url: str = Field("http://127.0.0.1:8086", description="InfluxDB's address")
    org: str = Field("gaoxin", description="InfluxDB's organisation")
    bucket: str = Field("gaoxin/autogen", description="InfluxDB's bucket (on 1.x: database/retention policy)")
    token: SecretStr = Field(SecretStr(""), description="InfluxDB's token; environment only")
    timeout_s: float = Field(10, gt=0, le=600, description="longest wait for one answer of the store, seconds")
    retention_days: int = Field(400, ge=1, description="observations older than this are forgotten, days")


class Ledger(Section):
    url: SecretStr = Field(
        SecretStr(""),
        description="database of what must be transactional; default: ledger.sqlite in the data folder. "
        "PostgreSQL: postgresql+psycopg://user:password@host/name. Environment only",
    )


class Ingest(Section):
    worker: str = Field(
        "ingest",
        pattern=r"^[A-Za-z0-9_-]{1,40}$",
        description="stable name of this worker: its session at the broker, its spool and its quarantine hang on it",
    )
    shared: bool = Field(False, description="share the feed with other workers (each has its own `worker` name)")
    mapping: Path | None = Field(None, description="file that says how foreign topics and payloads become observations")
    batch: int = Field(5_000, ge=1, le=100_000, description="most messages in one write")
    age_ms: int = Field(100, ge=1, le=60_000, description="longest a message waits for its batch to fill, ms")
    buffer_mb: int = Field(64, ge=1, le=4096, description="most MiB of messages held in memory; then the broker holds")
    spool_mb: int = Field(
        2048, ge=1, description="most MiB kept on disk while the store is away; beyond it nothing is acknowledged"
    )
    future_s: int = Field(300, ge=0, description="a time further ahead of ours than this is quarantined, seconds")
    past_days: int = Field(400, ge=1, description="a time longer ago than this is quarantined, days")


class Engine(Section):
    delta_ms: int = Field(100, ge=20, le=10_000, description="how often changed devices go to the screens, ms")
    key_s: int = Field(10, ge=1, le=600, description="how often the whole zone goes to the screens, seconds")
    grace_periods: float = Field(
        3.0, ge=1, le=100, description="a device silent for this many of its periods is unknown"
    )


class Alarms(Section):
    """What the work on alarms is measured by (EEMUA 191, ISA-18.2), and how long they may wait for it."""

    per_10_min: float = Field(1, gt=0, description="target: alarms per 10 minutes, on average")
    per_day: float = Field(150, gt=0, description="target: alarms per day")
    busiest: int = Field(10, ge=1, description="target: most alarms within 10 minutes")
    flood_from: int = Field(10, ge=1, description="more alarms than this within 10 minutes are a flood")
    flood_until: int = Field(5, ge=1, description="a flood is over when fewer than this come within 10 minutes")
    flood_percent: float = Field(1, ge=0, le=100, description="target: share of the time in floods, %")
    chatter: int = Field(3, ge=2, description="an alarm raised so many times within a minute chatters")
    chattering: int = Field(0, ge=0, description="target: most alarms that chatter")
    stale_h: float = Field(24, gt=0, description="an alarm active for longer than this is stale, hours")
    stale: int = Field(4, ge=0, description="target: most stale alarms")
    bad_actors_percent: float = Field(5, ge=0, le=100, description="target: share of the ten most frequent alarms, %")
    orange_percent: float = Field(5, ge=0, le=100, description="target: share of orange alarms, %")
    red_percent: float = Field(1, ge=0, le=100, description="target: share of red alarms, %")
    escalate_red_min: float = Field(5, ge=0, description="a red alarm not acknowledged so long escalates; 0: never")
    escalate_orange_min: float = Field(15, ge=0, description="the same for an orange one, minutes")
    escalate_yellow_min: float = Field(60, ge=0, description="the same for a yellow one, minutes")
    escalate_blue_min: float = Field(0, ge=0, description="the same for a blue one, minutes")


class Access(Section):
    look: Literal["anyone", "signed-in"] = Field(
        "anyone",
        description="anyone: who reaches the web may look, only changes need an account; "
        "signed-in: looking needs an account or a kiosk link",
    )
    session_h: float = Field(12, gt=0, le=24 * 31, description="a session ends so long after signing in, hours")
    idle_min: float = Field(60, gt=0, description="a session not used for so long ends, minutes")


class Web(Section):
    host: str = Field("127.0.0.1", description="address the web listens on")
    port: int = Field(8050, ge=0, le=65535, description="its port")
    backtest_mb: int = Field(
        1600, ge=50, description="memory for the stored weeks on which thresholds are tried; the oldest are dropped"
    )
    proxies: str = Field(
        "",
        description="addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, "
        "by commas; empty: nobody's",
    )


class Notices(Section):
    """Where alarms are sent to. Nothing is sent while no channel is named."""

    channels: SecretStr = Field(
        SecretStr(""),
        description='who is told: "name=url name=url", each an apprise URL (dingtalk://, wecombot://, '
        "feishu://, lark://, mailtos://, jsons://, …); empty: nobody. Environment only",
    )
    least: str = Field(
        "yellow",
        description='the least level that is sent: blue, yellow, orange, red; "yellow chief=red" for one channel',
    )
    quiet: str = Field(
        "",
        description='hours with only a level and those above it: "22:00-07:00/red", "chief=22:00-07:00/red"',
    )
    escalate_to: str = Field("", description="names of the channels that are told what nobody has acknowledged in time")
    escalate_min: int = Field(30, ge=1, le=10_080, description="after so many minutes unacknowledged they are told")
    group_wait_s: int = Field(
        20, ge=0, le=3600, description="the first notice of a group waits this long for others, seconds"
    )
    group_interval_s: int = Field(
        300, ge=0, le=86_400, description="least time between two notices of a group unless its level rises, seconds"
    )
    link: str = Field(
        "http://127.0.0.1:8050", pattern=r"^https?://\S+[^/\s]$", description="the web's address as those told reach it"
    )
    timeout_s: float = Field(15, gt=0, le=300, description="longest wait for a channel to take a notice, seconds")
    tries: int = Field(12, ge=1, le=100, description="a notice that no try of these has delivered is given up")
    retry_s: float = Field(
        10, gt=0, le=3600, description="the second try comes after so long, each later one after twice"
    )
    longest_retry_s: float = Field(900, gt=0, le=86_400, description="but never after longer than this, seconds")
    plain: bool = Field(False, description="also send unencrypted, or to whom no authority vouches for")


class Monitor(Section):
    """For a process without a web; one with a web answers there."""

    host: str = Field("127.0.0.1", description="address on which a process without a web answers for itself")
    port: int = Field(0, ge=0, le=65535, description="its port for /healthz, /readyz and /metrics; 0: none")


class Simulate(Section):
    on: bool = Field(True, description="feed the zone with simulated sensors (shown as simulated on every screen)")
    seed: int = Field(20261120, ge=0, description="same seed, same zone")
    speed: float = Field(1.0, gt=0, le=600, description="how many times faster than real the simulated day runs")
    history_h: float = Field(24, ge=0, le=24 * 31, description="hours of history filled in when the store is empty")


class Settings(Section):
    data: Path = Field(Path("data"), description="folder that holds everything this installation keeps")
    language: Literal["zh", "en"] = Field("zh", description="language of the screens where none is asked for")
    registry: Path | None = Field(None, description="your own device registry; the zone's default where none is named")
    layers: Path | None = Field(None, description="folder of your own layers; default: `layers` in the data folder")
    broker: Broker = Broker()
    store: Store = Store()
    ledger: Ledger = Ledger()
    ingest: Ingest = Ingest()
    engine: Engine = Engine()
    alarms: Alarms = Alarms()
    access: Access = Access()
    web: Web = Web()
    monitor: Monitor = Monitor()
    notices: Notices = Notices()
    simulate: Simulate = Simulate()

    @property
    def layers_folder(self) -> Path:
        return self.layers or self.data / "layers"


SECRETS = frozenset({"broker.password", "store.token", "ledger.url", "notices.channels"})


def fields(model: type[BaseModel] = Settings, under: str = "") -> dict[str, FieldInfo]:
    """Every setting by its dotted key, sections left out: what the docs must list and the environment may name."""
    found: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found |= fields(inner, f"{under}{name}.")
        else:
            found[under + name] = field
    return found


def load(file: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `file` (default: gaoxin.toml here, if there is one) with the environment over it.

    Raises SettingsError naming each wrong key, its value and what is allowed.
    """
    environ = os.environ if environ is None else environ
    values = _from_file(file)
    known = {env_name(key): key for key in fields()}
    for name, text in environ.items():
        if not name.startswith(PREFIX):
            continue
        key = known.get(name)
        if key is None:
            raise SettingsError(f"{name} (environment) is not a setting. {_nearest(name, list(known))}")
        _put(values, key, text)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(e, values) for e in error.errors())) from None


def env_name(key: str) -> str:
    """`web.port` → `GAOXIN_WEB__PORT`."""
    return PREFIX + key.upper().replace(".", "__")


def environment(settings: Settings) -> dict[str, str]:
    """The settings as environment variables, so that a child process sees exactly these."""
    found: dict[str, str] = {}
    for key in fields():
        value: Any = settings
        for part in key.split("."):
            value = getattr(value, part)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if value is not None:
            found[env_name(key)] = str(value)
    return found


def _from_file(file: Path | None) -> dict[str, Any]:
    path = file or Path("gaoxin.toml")
    if file is None and not path.exists():
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}). Check the path given to --config.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    for key in SECRETS:
        section, name = key.split(".")
        if name in (values.get(section) or {}):
            raise SettingsError(
                f"{path}: {key} is a secret and is not read from a file. Set {env_name(key)} in the environment."
            )
    return values


def _put(values: dict[str, Any], key: str, text: str) -> None:
    *sections, name = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
    values[name] = text


def _explain(error: Any, values: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{key} = {error['input']!r} is not a setting. {_nearest(key, list(fields()))}"
    field = fields().get(key)
    allowed = f" Allowed: {_allowed(field)}. ({field.description})" if field else ""
    shown = "***" if key in SECRETS else repr(error["input"])
    return f"{key} = {shown}: {error['msg']}.{allowed} In the environment it is {env_name(key)}."


def _allowed(field: FieldInfo) -> str:
    limits = [str(m) for m in field.metadata]
    kind = str(field.annotation).replace("typing.", "").replace("<class '", "").replace("'>", "")
    return kind + (f" with {', '.join(limits)}" if limits else "")


def _nearest(wrong: str, known: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(wrong, known, n=1)
    return f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
