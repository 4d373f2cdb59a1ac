"""What this process counts, for Prometheus at /metrics. One registry a process; names carry their unit."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class BulkHistogram(Collector):
    """A histogram that takes thousands of values at once: one at a time would cost as much as decoding them."""

    def __init__(self, name: str, documentation: str, buckets: Sequence[float]) -> None:
        self.name, self.documentation = name, documentation
        self._edges = np.array(buckets)
        self._counts = np.zeros(len(buckets) + 1, np.int64)
        self._sum = 0.0
        REGISTRY.register(self)

    def observe(self, values: npt.NDArray[np.float64]) -> None:
        found = np.bincount(np.searchsorted(self._edges, values), minlength=len(self._counts))
        self._counts, self._sum = self._counts + found, self._sum + float(values.sum())

    def describe(self) -> Iterable[HistogramMetricFamily]:
        return [HistogramMetricFamily(self.name, self.documentation)]

    def collect(self) -> Iterable[HistogramMetricFamily]:
        total = np.cumsum(self._counts).tolist()
        edges = [*(f"{e:g}" for e in self._edges), "+Inf"]
        return [
            HistogramMetricFamily(
                self.name, self.documentation, buckets=list(zip(edges, total, strict=True)), sum_value=self._sum
            )
        ]


RECEIVED = Counter("gaoxin_messages_received_total", "Messages taken from the broker by ingest")
DECODED = Counter("gaoxin_observations_decoded_total", "Observations found in messages")
REJECTED = Counter("gaoxin_rejected_total", "Readings or messages quarantined", ["reason"])
STORED = Counter("gaoxin_observations_stored_total", "Observations the store has accepted")
SPOOLED = Counter("gaoxin_observations_spooled_total", "Observations put on disk because the store was away")
ACKNOWLEDGED = Counter("gaoxin_messages_acknowledged_total", "Messages acknowledged to the broker: stored or spooled")
BUFFERED = Gauge("gaoxin_ingest_buffered_messages", "Messages received and not yet stored or spooled")
SPOOL_BYTES = Gauge("gaoxin_spool_bytes", "Bytes of the spool on disk")
SPOOL_TORN = Gauge("gaoxin_spool_torn_records", "Unfinished records dropped from the spool since the start")
SPOOL_DAMAGED = Gauge("gaoxin_spool_damaged_records", "Damaged records left out of the spool since the start")
HOLDING = Gauge("gaoxin_ingest_holding", "1 while nothing can be stored or spooled, so nothing is acknowledged")
DECODE_SECONDS = Histogram("gaoxin_decode_seconds", "Time to decode one batch of messages")
WRITE_SECONDS = Histogram("gaoxin_store_write_seconds", "Time of one batch write")
SPOOL_SECONDS = Histogram("gaoxin_spool_append_seconds", "Time to put one batch on disk, fsync included")
STORE_AWAY = Counter("gaoxin_store_away_total", "Batch writes that failed because the store was away")
SETTLE_SECONDS = Histogram(
    "gaoxin_ingest_settle_seconds",
    "Time from the receipt of a batch's oldest message to its acknowledgement",
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
)
LAG_SECONDS = BulkHistogram(
    "gaoxin_observation_lag_seconds",
    "Time from an observation to its receipt",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600),
)
FRAMES = Counter("gaoxin_frames_published_total", "Frames published by the engine", ["kind"])
ENGINE_DROPPED = Counter("gaoxin_engine_dropped_total", "Messages the engine let go because its queue was full")
DEVICES = Gauge("gaoxin_devices", "Devices by what is known of them", ["domain", "state"])
SCREENS = Gauge("gaoxin_screens", "Live connections of browsers")
SCREEN_RESETS = Counter("gaoxin_screen_resets_total", "Live connections closed because the browser read too slowly")
NOTICES = Counter(
    "gaoxin_notices_total", "Notices handed to a channel, by what became of the try", ["channel", "outcome"]
)
