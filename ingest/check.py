"""What a mapping file would do, in words: nothing is stored and no broker is asked."""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from ingest.decode import Decoder
from twin.clock import local
from twin.observation import KINDS, METRICS, Observation
from twin.registry import Registry

FORM = '{"topic": "…", "payload": {…}, "received": UTC ms}'


def describe(decoder: Decoder) -> str:
    """What the decoder's mapping subscribes to, what it takes from there and for which devices."""
    mapping, registry = decoder.mapping, decoder.registry
    assert mapping is not None
    lines: list[str] = []
    for feed in mapping.feeds:
        lines += [f"feed {feed.name}", f"    subscribes to  {feed.topic.filter}"]
        takes = [(v.metric, _unit(v.metric), str(v.path)) for v in feed.values]
        lines += _columns("    takes  ", takes)
        devices = [(key, registry[ours]) for key, ours in feed.device.known().items()]
        lines += _columns("    device ", [(key, d.id, KINDS[d.kind].label, d.name) for key, d in devices])
        if not devices:
            lines.append("    device  any of the registry, by its own id")
    for gateway in mapping.gateways:
        lines += [f"gateway {gateway.topic.text}", f"    subscribes to  {gateway.topic.filter}"]
        lines += _columns("    gateway", list(gateway.name.known().items()))
    return "\n".join(lines)


def try_samples(lines: Iterable[str], decoder: Decoder, now: int) -> tuple[str, bool]:
    """What each sample becomes or why it would not be taken, with a summary; and whether nothing was left.

    A sample is a line of JSON, {"topic": …, "payload": … , "received": UTC ms}; `received` is `now` where it is
    missing. A payload that is text is sent as it is, any other as JSON.
    """
    said: list[str] = []
    count: Counter[str] = Counter()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        count["samples"] += 1
        try:
            sample = msgspec.json.decode(line)
            topic, payload, received = sample["topic"], sample["payload"], sample.get("received", now)
            if not isinstance(topic, str) or not isinstance(received, int):
                raise TypeError
        except (msgspec.DecodeError, RecursionError, LookupError, TypeError, AttributeError):
            said += [f"line {number}", f"    not taken: not a sample: {FORM}"]
            continue
        said.append(f"line {number}  {topic}")
        raw = payload.encode() if isinstance(payload, str) else msgspec.json.encode(payload)
        gateway = decoder.gateway(topic, raw)
        if gateway is not None:
            count["taken"] += 1
            count["gateway states"] += 1
            word = "online" if gateway[1] else "offline (any word but that of `online` is)"
            said.append(f"    gateway {gateway[0]} is {word}")
            continue
        found = decoder.decode(topic, raw, received)
        count["taken"] += not found.rejections
        count["observations"] += len(found.observations)
        count["faults"] += len(found.rejections)
        for observation in found.observations:
            said += _observation(observation, decoder.registry, timed=observation.at != received)
        said += [f"    not taken: {r.reason.value}: {r.detail}" for r in found.rejections]
    total = ", ".join(f"{name} {count[name]}" for name in ("observations", "gateway states", "faults"))
    said.append(f"{count['taken']} of {count['samples']} samples taken: {total}")
    return "\n".join(said), count["samples"] > 0 and count["taken"] == count["samples"]


def _observation(seen: Observation, registry: Registry, *, timed: bool) -> list[str]:
    device = registry[seen.device]
    at = local(seen.at).isoformat(" ", "milliseconds")
    head = f"    {device.id}  {KINDS[device.kind].label}  {device.name}"
    rows = [(name, f"{value:.12g}", _unit(name)) for name, value in seen.values.items()]
    width = max(len(shown) for _, shown, _ in rows)
    lines = _columns("       ", [(name, shown.rjust(width), unit) for name, shown, unit in rows])
    return [head, f"        {at}{'' if timed else ' (time of receipt)'}", *lines]


def _unit(metric: str) -> str:
    unit = METRICS[metric].unit
    return "" if unit == "1" else unit  # beside a number a 1 would be read as another


def _columns(head: str, rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The rows under one another, after the head; the last column may be as wide as it likes."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [head + " " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
