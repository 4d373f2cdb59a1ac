"""The tap on a real broker: nothing stalls and nothing is missing, in the clear and with TLS, with broken sockets."""

from pathlib import Path

import pytest

from tests.bench.endurance import broker, run

pytestmark = pytest.mark.server

COUNT = 30_000


@pytest.mark.parametrize("breaks", [0, 3])
@pytest.mark.parametrize("tls", [False, True])
def test_bursts_pauses_and_broken_sockets(tmp_path: Path, *, tls: bool, breaks: int) -> None:
    with broker(tmp_path) as (clear, secret, port):
        for seed in range(2):
            found = run(secret if tls else clear, port, COUNT, seed, breaks=breaks)
            assert found.missing == 0, found
            assert found.received >= COUNT
