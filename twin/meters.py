"""What this process counts, for Prometheus at /metrics. One registry a process; names carry their unit."""

from prometheus_client import Counter, Gauge, Histogram

RECEIVED = Counter("gaoxin_messages_received_total", "Messages taken from the broker by ingest")
OBSERVATIONS = Counter("gaoxin_observations_stored_total", "Observations the store has accepted")
REJECTED = Counter("gaoxin_rejected_total", "Readings or messages quarantined", ["reason"])
WRITE_SECONDS = Histogram("gaoxin_store_write_seconds", "Time of one batch write")
STORE_AWAY = Counter("gaoxin_store_away_total", "Batch writes that had to be tried again because the store was away")
BUFFERED = Gauge("gaoxin_ingest_buffered_messages", "Messages received and not yet acknowledged")
LAG_SECONDS = Histogram(
    "gaoxin_observation_lag_seconds",
    "Time from an observation to its receipt",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600),
)
FRAMES = Counter("gaoxin_frames_published_total", "Frames published by the engine", ["kind"])
ENGINE_DROPPED = Counter("gaoxin_engine_dropped_total", "Messages the engine let go because its queue was full")
DEVICES = Gauge("gaoxin_devices", "Devices by what is known of them", ["domain", "state"])
SCREENS = Gauge("gaoxin_screens", "Live connections of browsers")
SCREEN_RESETS = Counter("gaoxin_screen_resets_total", "Live connections closed because the browser read too slowly")
