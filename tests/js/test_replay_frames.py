"""A chunk made here is read in the browser's module, step by step, as it is read here."""

import json
import subprocess
from pathlib import Path

import numpy as np

from twin import replay
from twin.replay import Chunk, Span, View

MODULE = Path(__file__).parents[2] / "dashboards" / "assets" / "js" / "replay-frames.mjs"
READ = """
import {{ readFileSync }} from "node:fs";
import {{ decodeChunk, PlayedZone }} from {module};
const bytes = readFileSync({file});
const chunk = decodeChunk(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
const zone = new PlayedZone(chunk.count, chunk.digest);
const frames = [];
for (let k = 0; k < chunk.steps; k++) {{
  zone.show(chunk, chunk.begin + k * chunk.step);
  frames.push([[...zone.values], [...zone.status]]);
}}
console.log(JSON.stringify({{ view: chunk.view, begin: chunk.begin, step: chunk.step, frames }}));
"""


def test_the_browser_reads_what_python_writes(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    n, steps, changes = 40, 25, 300
    at = np.sort(random.integers(1, steps, changes))
    chunk = Chunk(
        View.NOW,
        0xFEDCBA98,
        Span(1_792_540_800_000, 1_792_540_800_000 + steps * 5_000, 5_000),
        random.integers(0, 256, n, np.uint8),
        random.integers(0, 256, n, np.uint8),
        np.searchsorted(at, np.arange(steps + 1)).astype(np.uint32),
        random.integers(0, n, changes, np.uint32),
        random.integers(0, 256, changes, np.uint8),
        random.integers(0, 256, changes, np.uint8),
    )
    file, script = tmp_path / "chunk.bin", tmp_path / "read.mjs"
    file.write_bytes(replay.encode(chunk))
    script.write_text(READ.format(module=json.dumps(MODULE.as_uri()), file=json.dumps(str(file))), encoding="utf-8")
    found = json.loads(subprocess.run(["node", script], capture_output=True, check=True, text=True).stdout)
    assert (found["view"], found["begin"], found["step"]) == ("now", chunk.span.begin, 5_000)
    assert found["frames"] == [[part.tolist() for part in chunk.frame(k)] for k in range(steps)]
