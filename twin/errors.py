"""One tree of errors, split into ours (configuration, programming) and theirs (payload, device, store, layer file).

The core raises; the edges (ingest, the web, the command line) count, keep the evidence and go on.
Every message says what was wrong, where, and what to do about it.
"""

from enum import StrEnum


class GaoxinError(Exception):
    """Base of every error this project raises on purpose."""


class OurError(GaoxinError):
    """The installation or this code is at fault."""


class SettingsError(OurError):
    """A setting is unknown or has a bad value: names the key, the value and what is allowed."""


class RegistryError(OurError):
    """The device registry contradicts itself."""


class TheirError(GaoxinError):
    """Something outside sent or did what it should not."""


class StoreError(TheirError):
    """The store answered, but not with what was asked."""


class StoreAwayError(StoreError):
    """The store did not answer within its time-out: nothing is known to be written; try again later."""


class NoticeError(TheirError):
    """A channel did not take a notice: names the channel (never its address) and what it answered."""


class LedgerError(TheirError):
    """The ledger's database cannot be reached, or is not as this program needs it."""


class BrokerError(TheirError):
    """The broker cannot be reached or refused the connection."""


class RefusedError(TheirError):
    """What a person asked for cannot be done. `reason` is a message id, `details` the names in it (`twin.refusal`)."""

    def __init__(self, reason: StrEnum, **details: object) -> None:
        self.reason, self.details = reason, details
        super().__init__(reason.value.format(**details))


class LayerError(TheirError):
    """A layer file is unusable: names file, layer, row and remedy."""

    def __init__(self, what: str, *, file: str, layer: str | None = None, row: int | None = None, remedy: str) -> None:
        self.what, self.file, self.layer, self.row, self.remedy = what, file, layer, row, remedy
        place = file + (f", layer {layer}" if layer else "") + (f", row {row}" if row is not None else "")
        super().__init__(f"{place}: {what}. {remedy}")
