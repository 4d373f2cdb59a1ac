"""One twin and one browser for all tests of the pages, and gone before the other tests: a wall draws all the time."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.chromium import FLAGS
from tests.browser.visit import SHOTS
from tests.servers import Up, up


@pytest.fixture(scope="package")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("twin"), GAOXIN_SIMULATE__HISTORY_H="3") as made:
        yield made


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as play:
        yield play.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
