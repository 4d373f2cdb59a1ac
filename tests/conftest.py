"""What holds for all tests. Those that share a long simulated day stay together in one process of `pytest -n`."""

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

TOGETHER = {"scenarios", "simulators"}  # folders


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group(folder if folder in TOGETHER else str(item.path)))
