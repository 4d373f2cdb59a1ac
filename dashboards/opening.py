"""What the settings name, opened: the registry, the store, the ledger, the decoder.

Apart from the parts that run, so that a command which only looks something up does not load the web.
"""

import contextlib
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from twin import registry as registries
from twin import store as stores
from twin.clock import DAY, SECOND
from twin.ledger import Ledger, sqlite_url
from twin.registry import Registry
from twin.settings import Settings
from twin.store import Store

if TYPE_CHECKING:
    from ingest.decode import Decoder

DEFAULT_REGISTRY = Path(__file__).parent.parent / "layers" / "data" / "devices.json"


def read_registry(settings: Settings) -> Registry:
    """The registry named in the settings, else the user's own devices layer, else the zone's default."""
    own = settings.layers_folder / "devices.json"
    return registries.read(settings.registry or (own if own.exists() else DEFAULT_REGISTRY))


def open_store(settings: Settings, registry: Registry) -> Store:
    settings.data.mkdir(parents=True, exist_ok=True)
    s = settings.store
    return stores.open_store(
        s.kind,
        registry,
        path=settings.data / "observations.duckdb",
        memory_mb=s.memory_mb,
        url=s.url,
        org=s.org,
        bucket=s.bucket,
        token=s.token.get_secret_value(),
        timeout_s=s.timeout_s,
    )


def open_ledger(settings: Settings) -> Ledger:
    """Raises LedgerError when it cannot be used."""
    settings.data.mkdir(parents=True, exist_ok=True)
    return Ledger(settings.ledger.url.get_secret_value() or sqlite_url(settings.data / "ledger.sqlite"))


@contextlib.contextmanager
def ledger_of(settings: Settings) -> Iterator[Ledger]:
    ledger = open_ledger(settings)
    try:
        yield ledger
    finally:
        ledger.close()


def reachable(host: str) -> str:
    """As this machine reaches what listens on `host`."""
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def make_decoder(settings: Settings, registry: Registry, mapping: Path | None = None) -> "Decoder":
    """The decoder of these settings, with the foreign feeds of `mapping` (default: the settings')."""
    from ingest import mapping as mappings
    from ingest.decode import Decoder

    file, prefix = mapping or settings.ingest.mapping, settings.broker.prefix
    return Decoder(
        registry,
        prefix=prefix,
        future=settings.ingest.future_s * SECOND,
        past=settings.ingest.past_days * DAY,
        mapping=mappings.read(file, registry, prefix=prefix) if file else None,
    )
